// Runs an instrumented Go js/wasm binary under node and writes down what its hooks see.
//
// node host.js PLAN.json; the plan is made by js.py, and hooks.py says what the reads mean. A record
// is 4 words of 32 bits (id | phase << 8 | words << 16, SP, pages, 0), then that many 64-bit words.
"use strict";

const fs = require("fs");
const plan = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const END = 255;
const RETURNED = 1;

class Recorder {
	constructor(plan) {
		this.hooks = plan.hooks;
		this.osinit = plan.osinit;
		this.search = plan.state;
		this.state = null;
		this.raw = fs.openSync(plan.raw, "w");
		this.buffer = new Uint32Array(1 << 16);
		this.at = 0;
		this.flushed = Date.now();
		this.memory = null;
		this.words = new Uint32Array(0);
		this.pages = 0;
	}

	look() {
		if (this.words.length === 0) {
			const buffer = this.memory.buffer;
			this.words = new Uint32Array(buffer);
			this.pages = buffer.byteLength / 65536;
		}
	}

	hook(id, phase, sp, context) {
		this.look();
		sp >>>= 0;
		const reads = this.hooks[id][phase === 0 ? 0 : 1] || [];
		if (this.at + 2048 + 2 * reads.length > this.buffer.length) this.flush();
		const out = this.buffer;
		const words = this.words;
		const start = this.at;
		let at = start + 4;
		if (phase === 0) { // the return address
			out[at++] = words[sp >>> 2];
			out[at++] = words[(sp >>> 2) + 1];
		}
		for (let i = 0; i < reads.length; i += 3) {
			let place = ((reads[i] === 0 ? sp : context >>> 0) + reads[i + 1]) >>> 2;
			if (reads[i + 2] >= 0) place = (words[place] + reads[i + 2]) >>> 2;
			const last = Math.min(place + 2 * Math.max(1, -reads[i + 2]), words.length);
			while (place < last) out[at++] = words[place++];
		}
		if (phase === RETURNED && this.state !== null) {
			for (const address of this.state) {
				out[at++] = words[address >>> 2];
				out[at++] = words[(address >>> 2) + 1];
			}
		}
		out[start] = id | phase << 8 | (at - start - 4) / 2 << 16;
		out[start + 1] = sp;
		out[start + 2] = this.pages;
		out[start + 3] = 0;
		this.at = at;
		if (id === this.osinit && phase === RETURNED) this.findState();
		if (phase === 0 && Date.now() - this.flushed > 200) this.flush();
	}

	// After osinit the break stands where the linker's data ends: two words with known values.
	findState() {
		const search = this.search;
		const found = [search.bloc, search.growsFirst ? search.bloc : this.pages * 65536].map((value) => {
			const places = [];
			for (let a = search.from; a + 8 <= search.to; a += 8) {
				if (this.words[a >>> 2] === value && this.words[(a >>> 2) + 1] === 0) places.push(a);
			}
			return places;
		});
		if (search.growsFirst && found[0].length === 2) this.state = found[0];
		else if (found[0].length === 1 && found[1].length === 1 && found[0][0] !== found[1][0]) {
			this.state = [found[0][0], found[1][0]];
		}
	}

	flush() {
		let left = new Uint8Array(this.buffer.buffer, 0, this.at * 4);
		while (left.length > 0) left = left.subarray(fs.writeSync(this.raw, left));
		this.at = 0;
		this.flushed = Date.now();
	}

	end() {
		if (this.memory !== null) {
			this.words = new Uint32Array(0);
			this.look();
		}
		this.buffer.set([END, 0, this.pages, 0], this.at);
		this.at += 4;
		this.flush();
	}
}

// A table takes only functions of wasm: this module imports one and exports it again.
function asWasm(f) {
	const i32 = 0x7f;
	const bytes = new Uint8Array([
		0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
		1, 8, 1, 0x60, 4, i32, i32, i32, i32, 0, // one type
		2, 7, 1, 1, 0x68, 1, 0x66, 0, 0, // import "h" "f"
		7, 5, 1, 1, 0x66, 0, 0, // export "f"
	]);
	return new WebAssembly.Instance(new WebAssembly.Module(bytes), { h: { f } }).exports.f;
}

// Time moves with each look at it, and a timeout at once by its length; random data is fixed.
function makeVirtual(go) {
	let now = 0n;
	const imports = go.importObject.gojs;
	const view = () => new DataView(go._inst.exports.mem.buffer);
	imports["runtime.nanotime1"] = (sp) => {
		now += 1000n;
		view().setBigInt64((sp >>> 0) + 8, now, true);
	};
	imports["runtime.walltime"] = (sp) => {
		now += 1000n;
		view().setBigInt64((sp >>> 0) + 8, 1700000000n + now / 1000000000n, true);
		view().setInt32((sp >>> 0) + 16, Number(now % 1000000000n), true);
	};
	let seed = 1;
	imports["runtime.getRandomData"] = (sp) => {
		sp >>>= 0;
		const start = view().getUint32(sp + 8, true);
		const size = view().getUint32(sp + 16, true);
		const bytes = new Uint8Array(go._inst.exports.mem.buffer, start, size);
		for (let i = 0; i < size; i++) {
			seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
			bytes[i] = seed >>> 24;
		}
	};
	globalThis.setTimeout = (f, ms) => setImmediate(() => {
		now += BigInt(Math.ceil(ms)) * 1000000n;
		f();
	});
	globalThis.clearTimeout = clearImmediate;
}

globalThis.require = require;
globalThis.fs = fs;
globalThis.path = require("path");
globalThis.TextEncoder = require("util").TextEncoder;
globalThis.TextDecoder = require("util").TextDecoder;
globalThis.performance ??= require("perf_hooks").performance;
globalThis.crypto ??= require("crypto").webcrypto;
require(plan.wasmExec);

// In a thread, for a program may never come back to the event loop.
new (require("worker_threads").Worker)(
	`setInterval(() => process.ppid === ${plan.parent} || process.kill(process.pid, "SIGKILL"), 1000)`,
	{ eval: true },
).unref();

const recorder = new Recorder(plan);
const go = new Go();
go.argv = plan.argv;
go.env = plan.env;
go.exit = process.exit;
if (plan.virtual) makeVirtual(go);

process.on("exit", (code) => {
	if (code === 0 && !go.exited && go._inst) { // a deadlock: Go prints its message
		go._pendingEvent = { id: 0 };
		go._resume();
	}
	recorder.end();
});
function refused(error) {
	fs.writeFileSync(plan.refused, String(error.message));
	process.exit(1);
}

WebAssembly.instantiate(fs.readFileSync(plan.wasm), go.importObject).catch(refused).then((result) => {
	const exports = result.instance.exports;
	recorder.memory = exports.gorun_mem_memory;
	exports.gorun_mem_table.set(plan.slot, asWasm(recorder.hook.bind(recorder)));
	return go.run(result.instance);
}).catch((error) => {
	console.error(error);
	process.exit(1);
});
