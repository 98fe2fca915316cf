"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function resolve(schema, schemas, depth = 0) {
  if (!schema || typeof schema !== "object" || depth > 5) return schema;
  if (Array.isArray(schema)) return schema.map((part) => resolve(part, schemas, depth));
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return depth > 3 ? { $ref: name } : resolve(schemas[name], schemas, depth + 1);
  }
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, resolve(value, schemas, depth)]));
}

function schemaBlock(title, content, schemas) {
  const schema = content && Object.values(content)[0] && Object.values(content)[0].schema;
  if (!schema) return [];
  return [element("div", title, "quiet"), element("pre", JSON.stringify(resolve(schema, schemas), null, 2))];
}

function operationCard(method, path, operation, schemas) {
  const card = element("details");
  card.id = `${method}${path}`;
  card.dataset.words = `${method} ${path} ${operation.summary} ${operation["x-permission"]}`.toLowerCase();
  const line = element("summary");
  line.append(
    element("span", operation["x-websocket"] ? "WS" : method.toUpperCase(), "method"),
    element("span", path, "path"),
    element("span", operation.summary),
    element("span", operation["x-permission"], "permission"),
  );
  const body = element("div", undefined, "body");
  for (const parameter of operation.parameters) {
    body.append(element("div", `${parameter.name} · ${parameter.in}${parameter.required ? " · required" : ""}`, "quiet"));
  }
  if (operation.requestBody) body.append(...schemaBlock("Pedido · Request", operation.requestBody.content, schemas));
  for (const [status, response] of Object.entries(operation.responses)) {
    if (status !== "default") body.append(...schemaBlock(`Resposta · Response ${status}`, response.content, schemas));
  }
  card.append(line, body);
  return card;
}

function groupByTag(paths) {
  const groups = new Map();
  for (const [path, methods] of Object.entries(paths)) {
    for (const method of METHODS.filter((name) => methods[name])) {
      const tag = methods[method].tags[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([method, path, methods[method]]);
    }
  }
  return [...groups].sort(([left], [right]) => left.localeCompare(right));
}

function show(described) {
  const schemas = described.components.schemas;
  document.getElementById("version").textContent = described.info.version;
  const tags = document.getElementById("tags");
  const operations = document.getElementById("operations");
  operations.replaceChildren();
  for (const [tag, list] of groupByTag(described.paths)) {
    const section = element("section");
    section.id = `tag-${tag}`;
    section.append(element("h2", tag), ...list.map((entry) => operationCard(...entry, schemas)));
    operations.append(section);
    const link = element("a", `${tag} (${list.length})`);
    link.href = `#tag-${tag}`;
    tags.append(link);
  }
}

function filter(words) {
  for (const card of document.querySelectorAll("details")) {
    card.hidden = !words.every((word) => card.dataset.words.includes(word));
  }
  for (const section of document.querySelectorAll("section")) {
    section.hidden = !section.querySelector("details:not([hidden])");
  }
}

document.getElementById("filter").addEventListener("input", (event) => {
  filter(event.target.value.toLowerCase().split(/\s+/).filter(Boolean));
});

fetch("/openapi.json")
  .then((response) => response.json())
  .then(show)
  .catch(() => {
    document.getElementById("operations").textContent = "Não foi possível ler /openapi.json · Could not read /openapi.json";
  });
