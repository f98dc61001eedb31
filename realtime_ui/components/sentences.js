/**
 * Fills a type's sentence with a message's payload: `{field}` is replaced, `{changes}` listed.
 *
 * A sentence is a list of parts for `Parts` of `clamped.jsx`: our own words, and what comes from the payload as
 * `{ outside }`.
 */

const show = (value) => {
  if (value === null || value === undefined) return "nothing";
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
};

const listed = (changes) =>
  Object.entries(changes)
    .sort(([a], [b]) => a.localeCompare(b)) // the log keeps no order of keys
    .flatMap(([name, value], index) => [index ? ", " : "", { outside: name }, " → ", { outside: show(value) }]);

const pick = (data, path) => path.split(".").reduce((value, name) => value?.[name], data);

export const sentence = (row, sentences) => {
  const wanted = sentences[row.type];
  const templates = Array.isArray(wanted) ? wanted : wanted ? [wanted] : [];
  // The first sentence whose every field is there.
  for (const template of templates) {
    const fields = [...template.matchAll(/\{([\w.]+)\}/g)].map((match) => match[1]);
    if (fields.every((field) => pick(row.data, field) !== undefined)) {
      // Split at its fields: every second part is one's name.
      return template.split(/\{([\w.]+)\}/).flatMap((part, index) => {
        if (index % 2 === 0) return [part];
        const value = pick(row.data, part);
        return part === "changes" && value && typeof value === "object" ? listed(value) : [{ outside: show(value) }];
      });
    }
  }
  const kind = row.type.replace(/[._]/g, " ");
  return [kind[0].toUpperCase() + kind.slice(1)];
};
