// Runs calls of .onnx files: node run.mjs onnxruntime-node|onnxruntime-web calls.json > results.json
// Arrays are {dtype, shape, data}, data in base64. A call that fails gives {error}.
import { readFile } from "node:fs/promises";

const ARRAYS = { float32: Float32Array, int64: BigInt64Array, uint8: Uint8Array, bool: Uint8Array };
const [runtime, file] = process.argv.slice(2);
const ort = await import(runtime);

function tensor({ dtype, shape, data }) {
  const bytes = Uint8Array.from(Buffer.from(data, "base64")); // a copy, which begins where any number may
  return new ort.Tensor(dtype, new ARRAYS[dtype](bytes.buffer), shape);
}

function array({ type, dims, data }) {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return { dtype: type, shape: dims, data: bytes.toString("base64") };
}

async function run({ model, inputs }) {
  const session = await ort.InferenceSession.create(await readFile(model)); // from bytes, as in a browser
  const feeds = Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, tensor(value)]));
  const outputs = await session.run(feeds);
  const arrays = Object.entries(outputs).map(([name, value]) => [name, array(value)]);
  await session.release();
  return { outputs: Object.fromEntries(arrays) };
}

const results = [];
for (const call of JSON.parse(await readFile(file))) {
  results.push(await run(call).catch((error) => ({ error: String(error) })));
}
process.stdout.write(JSON.stringify(results));
