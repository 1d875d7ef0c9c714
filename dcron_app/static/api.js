// Shows /openapi.json. Whatever comes from the server is set as text, never as markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
const BOUNDS = [
  ["minLength", "at least", "characters"], ["maxLength", "at most", "characters"],
  ["minimum", "from", ""], ["maximum", "to", ""],
  ["exclusiveMinimum", "above", ""], ["exclusiveMaximum", "below", ""],
  ["minItems", "at least", "entries"], ["maxItems", "at most", "entries"],
  ["minProperties", "at least", "keys"], ["maxProperties", "at most", "keys"],
];

const part = (id) => document.getElementById(id);

/** An element with a class and children; a child that is a string becomes text. */
function make(tag, style, ...children) {
  const element = document.createElement(tag);
  if (style) element.className = style;
  element.append(...children.filter((child) => child !== null));
  return element;
}

function link(target, text) {
  const element = make("a", "", text);
  element.href = `#${target}`;
  return element;
}

const nameOf = (reference) => reference.split("/").pop();

/** A schema's type in a few words and links to models. */
function typeOf(schema) {
  if (schema.$ref) return [link(`model-${nameOf(schema.$ref)}`, nameOf(schema.$ref))];
  const choices = schema.anyOf || schema.oneOf || schema.allOf;
  if (choices) {
    const word = schema.allOf ? " and " : " or ";
    return choices.flatMap((one, index) => [...(index ? [word] : []), ...described(one)]);
  }
  if ("const" in schema) return [make("code", "", JSON.stringify(schema.const))];
  if (schema.enum) {
    return schema.enum.flatMap((one, index) =>
      [...(index ? [", "] : []), make("code", "", JSON.stringify(one))]);
  }
  if (schema.type === "array") return ["list of ", ...described(schema.items || {})];
  if (schema.type === "object" && schema.additionalProperties) {
    const values = schema.additionalProperties;
    return ["object", ...(values === true ? [] : [" of ", ...described(values)])];
  }
  const type = Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type;
  return [type || "anything", ...(schema.format ? [` (${schema.format})`] : [])];
}

/** What bounds a schema, beside its type. */
function boundsOf(schema) {
  const found = [];
  const say = (...words) => found.push(found.length ? "; " : "", ...words);
  for (const [key, before, after] of BOUNDS) {
    if (key in schema) say(`${before} ${schema[key]}${after ? ` ${after}` : ""}`);
  }
  if (schema.pattern) say("as ", make("code", "", schema.pattern));
  const names = schema.propertyNames;
  if (names) say("keys: ", ...boundsOf(names));
  if ("default" in schema) say("default ", make("code", "", JSON.stringify(schema.default)));
  return found;
}

/** A schema within another: its bounds stand behind its type. */
function described(schema) {
  const bounds = boundsOf(schema);
  return bounds.length ? [...typeOf(schema), " (", ...bounds, ")"] : typeOf(schema);
}

function table(heads, rows) {
  const head = make("tr", "", ...heads.map((text) => make("th", "", text)));
  head.querySelectorAll("th").forEach((cell) => { cell.scope = "col"; });
  const lines = rows.map((cells) =>
    make("tr", "", ...cells.map((cell) => make("td", "", ...cell))));
  return make("table", "", make("thead", "", head), make("tbody", "", ...lines));
}

const needed = (is) => (is ? [" ", make("span", "needed", "required")] : []);

function parameters(list) {
  return table(["name", "in", "type", "bounds and meaning"], list.map((one) => [
    [make("code", "", one.name), ...needed(one.required)],
    [one.in],
    typeOf(one.schema),
    [...boundsOf(one.schema), one.description ? ` ${one.description}` : ""],
  ]));
}

function fields(schema) {
  const must = new Set(schema.required || []);
  return table(["field", "type", "bounds and meaning"],
    Object.entries(schema.properties).map(([name, one]) => [
      [make("code", "", name), ...needed(must.has(name))],
      typeOf(one),
      [...boundsOf(one), one.description ? ` ${one.description}` : ""],
    ]));
}

/** The content of a body or an answer: its media types, and for JSON its schema. */
function content(media, models) {
  return Object.entries(media || {}).flatMap(([type, one]) => {
    const line = make("p", "", make("code", "", type), ...(one.schema ? [": ", ...typeOf(one.schema)] : []));
    const model = one.schema && one.schema.$ref ? models[nameOf(one.schema.$ref)] : null;
    return model && model.properties && type === "application/json" ? [line, fields(model)] : [line];
  });
}

function answers(responses, document_) {
  const lines = Object.entries(responses).map(([status, answer]) => {
    const whole = answer.$ref ? document_.components.responses[nameOf(answer.$ref)] : answer;
    const types = Object.entries(whole.content || {}).flatMap(([type, one]) =>
      [make("code", "", type), ...(one.schema ? [" ", ...typeOf(one.schema)] : [])]);
    return [[make("code", "", status)], [whole.description], types];
  });
  return table(["status", "meaning", "content"], lines);
}

function route(path, method, operation, document_) {
  const inside = make("div", "inside", make("p", "", operation.description || ""));
  if ((operation.parameters || []).length) {
    inside.append(make("h3", "", "Parameters"), parameters(operation.parameters));
  }
  if (operation.requestBody) {
    const models = document_.components.schemas;
    const may = operation.requestBody.required ? "Body" : "Body (may be left out)";
    inside.append(make("h3", "", may), ...content(operation.requestBody.content, models));
  }
  inside.append(make("h3", "", "Answers"), answers(operation.responses, document_));
  const element = make("details", "route", make("summary", "",
    make("span", `method ${method}`, method.toUpperCase()), make("span", "path", path),
    make("span", "what", operation.summary || "")), inside);
  element.id = operation.operationId;
  element.dataset.words = `${method} ${path} ${operation.summary || ""}`.toLowerCase();
  return element;
}

function model(name, schema) {
  const inside = make("div", "inside", make("p", "", schema.description || ""));
  inside.append(schema.properties ? fields(schema) : make("p", "", ...described(schema)));
  const element = make("details", "model", make("summary", "", make("code", "", name)), inside);
  element.id = `model-${name}`;
  return element;
}

function entry(path, method, operation) {
  const item = make("li", "", make("span", `method ${method}`, method.toUpperCase()),
    link(operation.operationId, make("span", "path", path)));
  item.dataset.words = `${method} ${path} ${operation.summary || ""}`.toLowerCase();
  return item;
}

function show(document_) {
  const groups = new Map();
  for (const [path, operations] of Object.entries(document_.paths)) {
    for (const method of METHODS.filter((one) => one in operations)) {
      const tag = (operations[method].tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([path, method, operations[method]]);
    }
  }
  part("version").textContent = document_.info.version;
  part("about").textContent = document_.info.description || "";
  part("routes").replaceChildren(...[...groups].flatMap(([tag, found]) =>
    [make("h2", "", tag), ...found.map((one) => route(...one, document_))]));
  part("index").replaceChildren(...[...groups].flatMap(([tag, found]) =>
    [make("h2", "", tag), make("ul", "", ...found.map((one) => entry(...one)))]));
  part("models").replaceChildren(
    ...Object.entries(document_.components.schemas).map(([name, one]) => model(name, one)));
  part("body").hidden = false;
  open();
}

/** Open what the address names, so that a link to a route or model shows it. */
function open() {
  const target = location.hash.length > 1 ? part(decodeURIComponent(location.hash.slice(1))) : null;
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
    target.querySelector("summary").focus();
  }
}

function filter() {
  const words = part("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const element of document.querySelectorAll("[data-words]")) {
    element.hidden = !words.every((word) => element.dataset.words.includes(word));
  }
}

function say(text, bad) {
  part("status").textContent = text;
  part("status").className = bad ? "bad" : "";
}

async function ask(event) {
  event.preventDefault();
  say("Loading …", false);
  try {
    const answer = await fetch("../openapi.json", {
      headers: { Authorization: `Bearer ${part("token").value.trim()}` },
      cache: "no-store", credentials: "omit", redirect: "error",
    });
    const found = await answer.json();
    if (!answer.ok) throw new Error(`${answer.status}: ${found.detail || answer.statusText}`);
    show(found);
    say(`${part("routes").querySelectorAll("details").length} routes.`, false);
  } catch (error) {
    say(error.message, true);
  }
}

part("ask").addEventListener("submit", ask);
part("filter").addEventListener("input", filter);
window.addEventListener("hashchange", open);
