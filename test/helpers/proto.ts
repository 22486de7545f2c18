import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as AttributeKind,
  type AttributeProtoSchema,
  type GraphProtoSchema,
  ModelProtoSchema,
  type NodeProtoSchema,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "onnx-buf";

export { AttributeKind, DataLocation, DataType };
export type GraphInit = MessageInitShape<typeof GraphProtoSchema>;
export type ModelInit = MessageInitShape<typeof ModelProtoSchema>;
export type NodeInit = MessageInitShape<typeof NodeProtoSchema>;
export type TensorInit = MessageInitShape<typeof TensorProtoSchema>;
export type AttributeInit = MessageInitShape<typeof AttributeProtoSchema>;
type ValueInit = MessageInitShape<typeof ValueInfoProtoSchema>;

/** The name and type of a tensor value as ONNX spells it. */
export const valueProto = (
  name: string,
  dims: readonly number[] = [2],
  elemType: number = DataType.FLOAT,
): ValueInit => ({
  name,
  type: {
    value: {
      case: "tensorType",
      value: { elemType, shape: { dim: dims.map((d) => ({ value: { case: "dimValue", value: BigInt(d) } })) } },
    },
  },
});

/** Bytes of a model around a graph: input x, output y, both float32[2], one Relu between unless said. Nothing is checked. */
export function onnxBytes(graph: GraphInit = {}, model: ModelInit = {}): Uint8Array {
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: "", version: 17n }],
      graph: {
        name: "g",
        input: [valueProto("x")],
        output: [valueProto("y")],
        node: [{ opType: "Relu", name: "relu", input: ["x"], output: ["y"] }],
        ...(graph as object),
      },
      ...(model as object),
    }),
  );
}
