import { getTextEncoding } from "@bufbuild/protobuf/wire";

export const encodeText = (text: string): Uint8Array<ArrayBuffer> => getTextEncoding().encodeUtf8(text);

/** The text that these bytes are, if they are one: no byte may be lost on the way back. */
export function findText(bytes: Uint8Array): string | undefined {
  const text = getTextEncoding().decodeUtf8(bytes);
  const again = encodeText(text);
  return again.length === bytes.length && again.every((byte, i) => byte === bytes[i]) ? text : undefined;
}
