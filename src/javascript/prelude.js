// What a script finds around it: the language without clock, dice and local time, and nothing it could keep
// from one call to the next. Evaluated once in every realm; gives the one function that Rust calls.
//
// Values travel as JSON: null, booleans, numbers and texts as themselves, ["d", ms] a datetime, ["n", text] a
// number JSON has not, ["a", items] an array, ["r", [name, value], ...] a record.
(function () {
  "use strict";
  const DEPTH_MAX = 64;
  const define = Object.defineProperty;
  const refuse = (what) => function () {
    throw new Error(what + " is not available: a function must give the same for the same values");
  };

  // Dates without a clock and without a zone of the machine.
  const Clock = Date, utc = Date.UTC, parse = Date.parse, shape = Clock.prototype;
  const ISO = /^\d{4}-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?$/;
  const read = (text) => {
    if (!ISO.test(text)) return NaN;
    return parse(text.length > 10 && !/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text + "Z" : text);
  };
  function SafeDate(first) {
    if (!new.target) refuse("Date() without new")();
    if (arguments.length === 0) refuse("new Date() without arguments")();
    const value = first instanceof Clock ? first.getTime() : first;
    const date = arguments.length > 1 ? utc.apply(null, arguments) : typeof value === "string" ? read(value) : value;
    return Reflect.construct(Clock, [date], new.target);
  }
  define(SafeDate, "prototype", { value: shape });
  define(shape, "constructor", { value: SafeDate, writable: true, configurable: true });
  SafeDate.UTC = utc;
  SafeDate.parse = (text) => read(String(text));
  SafeDate.now = refuse("Date.now");
  for (const part of ["FullYear", "Month", "Date", "Day", "Hours", "Minutes", "Seconds", "Milliseconds"]) {
    shape["get" + part] = shape["getUTC" + part];
    if (part !== "Day") shape["set" + part] = shape["setUTC" + part];
  }
  shape.getTimezoneOffset = function () { return 0; };
  shape.toString = function () { return this.toISOString(); };
  shape.toDateString = function () { return this.toISOString().slice(0, 10); };
  shape.toTimeString = function () { return this.toISOString().slice(11); };
  for (const name of ["getYear", "setYear", "toLocaleString", "toLocaleDateString", "toLocaleTimeString"]) {
    shape[name] = refuse("Date." + name);
  }
  define(globalThis, "Date", { value: SafeDate, writable: true, configurable: true });
  Math.random = refuse("Math.random");

  // There is no Promise it could give, and the interpreter leaks it half made.
  delete Array.fromAsync;

  const isDate = (value) => value instanceof Clock;

  function decode(value) {
    if (value === null || typeof value !== "object") return value;
    switch (value[0]) {
      case "d": return new Clock(value[1]);
      case "n": return Number(value[1]);
      case "a": return value.slice(1).map(decode);
    }
    const record = {};
    for (let i = 1; i < value.length; i++) {
      define(record, value[i][0], {
        value: decode(value[i][1]), writable: true, enumerable: true, configurable: true,
      });
    }
    return record;
  }

  // `state`: whether functions are left out, which an aggregate carries along, instead of refused.
  function encode(value, depth, state) {
    if (depth > DEPTH_MAX) throw new Error("a value is nested deeper than " + DEPTH_MAX + " levels");
    switch (typeof value) {
      case "undefined": return null;
      case "boolean": case "string": return value;
      case "number":
        if (Object.is(value, -0)) return ["n", "-0"];
        return Number.isFinite(value) ? value : ["n", String(value)];
      case "object": break;
      default: throw new Error("a " + typeof value + " is no value of the language");
    }
    if (value === null) return null;
    if (isDate(value)) {
      const ms = value.getTime();
      if (ms !== ms) throw new Error("an invalid Date is no datetime");
      return ["d", ms];
    }
    if (Array.isArray(value)) {
      const items = ["a"];
      for (let i = 0; i < value.length; i++) items.push(encode(value[i], depth + 1, false));
      return items;
    }
    const prototype = Object.getPrototypeOf(value);
    if (!state && prototype !== null && prototype !== Object.prototype) {
      throw new Error("an object of a class of its own is no record");
    }
    const members = ["r"];
    for (const name of Object.keys(value)) {
      if (state && typeof value[name] === "function") continue;
      members.push([name, encode(value[name], depth + 1, false)]);
    }
    return members;
  }

  // Calls of a script, which is made anew for each, so that nothing is left over from the one before.
  const calls = {
    // What the script has: nothing to say of a function, the methods of an aggregate.
    methods: (main) => Object.keys(new main()),
    call: (main, args) => encode(main.apply(undefined, decode(args)), 0, false),
    method(main, [name, state, ...args]) {
      const it = new main();
      if (state !== null) Object.assign(it, decode(state));
      const given = args.map(decode);
      if (typeof it[name] !== "function") throw new Error("there is no function this." + name);
      const result = it[name](...given);
      return name === "computeResult" ? encode(result, 0, false) : encode(it, 0, true);
    },
  };

  // Everything a script can reach is frozen. Names that instances often redefine stay redefinable there.
  const seen = new Set();
  function freeze(root) {
    const waiting = [root];
    while (waiting.length > 0) {
      const object = waiting.pop();
      if (object === null || (typeof object !== "object" && typeof object !== "function") || seen.has(object)) continue;
      seen.add(object);
      waiting.push(Object.getPrototypeOf(object));
      for (const key of Reflect.ownKeys(object)) {
        const { value, get, set } = Object.getOwnPropertyDescriptor(object, key);
        waiting.push(value, get, set);
        if (["name", "message", "constructor", "toString", "valueOf"].includes(key)) loosen(object, key);
      }
      // Scripts that forget `var` write to the global object; see `sweep`.
      if (object !== globalThis) Object.freeze(object);
    }
  }
  function loosen(object, key) {
    const found = Object.getOwnPropertyDescriptor(object, key);
    if (!("value" in found) || !found.configurable || typeof object === "function") return;
    define(object, key, {
      get() { return found.value; },
      set(value) {
        if (this === object) throw new TypeError("what all scripts share cannot be changed");
        define(this, key, { value, writable: true, enumerable: true, configurable: true });
      },
      enumerable: false,
      configurable: false,
    });
  }
  const parseJson = JSON.parse, writeJson = JSON.stringify;
  for (const root of [globalThis, Clock, (function* () {})(), (function () { return arguments; })(), [][Symbol.iterator](),
    new Map()[Symbol.iterator](), new Set()[Symbol.iterator](), ""[Symbol.iterator](), "".matchAll(/a/g)]) {
    freeze(root);
  }

  const own = Reflect.ownKeys(globalThis);
  for (const key of own) {
    const found = Object.getOwnPropertyDescriptor(globalThis, key);
    if ("value" in found) define(globalThis, key, { value: found.value, writable: false, configurable: false });
    else define(globalThis, key, { configurable: false });
  }
  // Forgets what a call has left in the global object.
  function sweep() {
    const left = Reflect.ownKeys(globalThis);
    let clean = Object.isExtensible(globalThis);
    if (left.length !== own.length) {
      for (const key of left) clean &&= own.includes(key) || Reflect.deleteProperty(globalThis, key);
    }
    if (!clean) throw new TypeError("the global object was changed for good");
  }

  return function (make, kind, text) {
    const given = writeJson(calls[kind](make(), parseJson(text)));
    sweep();
    return given;
  };
})()
