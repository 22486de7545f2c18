import tseslint from "typescript-eslint";

const noDefaultExports = {
  selector: "ExportDefaultDeclaration",
  message: "Named exports only: one name for one thing everywhere.",
};

export default tseslint.config(
  { ignores: ["dist/**", "node_modules/**", "runs/**", "coverage/**", "**/*.mjs", "eslint.config.js"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "max-lines": ["error", { max: 500, skipBlankLines: true, skipComments: true }],
      "no-restricted-syntax": ["error", noDefaultExports],
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      // Typed-array loops index within bounds by construction; the compiler's noUncheckedIndexedAccess cannot see that.
      "@typescript-eslint/no-non-null-assertion": "off",
      // Numbers and shapes are written into messages all the time.
      "@typescript-eslint/restrict-template-expressions": "off",
      // Tables of rules are plain objects of functions.
      "@typescript-eslint/unbound-method": "off",
      "@typescript-eslint/no-confusing-void-expression": "off",
      "@typescript-eslint/no-unnecessary-condition": "off",
      "@typescript-eslint/no-dynamic-delete": "off",
      "@typescript-eslint/require-await": "off",
      // Takes a class that comes out of a promise for another one.
      "@typescript-eslint/no-unsafe-class-instance-assignment": "off",
    },
  },
  {
    files: ["vitest.config.ts"],
    rules: { "no-restricted-syntax": "off" },
  },
);
