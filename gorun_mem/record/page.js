// For a page, or another JavaScript host: before go.run(instance), with the instrumented binary.
const hooks = HOOKS, raw = [];
const shim = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 4, 127, 127, 127, 127, 0,
  2, 7, 1, 1, 104, 1, 102, 0, 0, 7, 5, 1, 1, 102, 0, 0);  // takes a function h.f, gives it as wasm
const f = (id, phase, sp, context) => {
  const view = new DataView(instance.exports.gorun_mem_memory.buffer), reads = hooks[id][+!!phase];
  const words = phase ? [] : [sp >>> 0];
  for (let i = 0; i < reads.length; i += 3) {
    const at = ((reads[i] ? context : sp) >>> 0) + reads[i + 1], n = reads[i + 2];
    if (n >= 0) words.push(view.getUint32(at, true) + n);
    for (let k = 0; k < -n && at + 8 * k < view.byteLength; k++) words.push(at + 8 * k);
  }
  raw.push(id | phase << 8 | words.length << 16, sp >>> 0, view.byteLength / 65536, 0,
    ...words.flatMap((at) => [view.getUint32(at, true), view.getUint32(at + 4, true)]));
};
instance.exports.gorun_mem_table.set(SLOT, new WebAssembly.Instance(new WebAssembly.Module(shim), { h: { f } }).exports.f);
// When the program has ended, save new Uint32Array(raw).buffer as APP.raw, and then:
//   gorun-mem record APP.wasm --from-raw APP.raw
