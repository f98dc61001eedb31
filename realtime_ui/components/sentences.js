/** Fills a type's sentence with a message's payload: `{field}` is replaced, `{changes}` listed. */

const show = (value) => {
  if (value === null || value === undefined) return "nothing";
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
};

const listed = (changes) =>
  Object.entries(changes)
    .sort(([a], [b]) => a.localeCompare(b)) // the log keeps no order of keys
    .map(([name, value]) => `${name} → ${show(value)}`)
    .join(", ");

const pick = (data, path) => path.split(".").reduce((value, name) => value?.[name], data);

export const sentence = (row, sentences) => {
  const wanted = sentences[row.type];
  const templates = Array.isArray(wanted) ? wanted : wanted ? [wanted] : [];
  // The first sentence whose every field is there.
  for (const template of templates) {
    const fields = [...template.matchAll(/\{([\w.]+)\}/g)].map((match) => match[1]);
    if (fields.every((field) => pick(row.data, field) !== undefined)) {
      return template.replace(/\{([\w.]+)\}/g, (_, field) => {
        const value = pick(row.data, field);
        return field === "changes" && value && typeof value === "object" ? listed(value) : show(value);
      });
    }
  }
  const kind = row.type.replace(/[._]/g, " ");
  return kind[0].toUpperCase() + kind.slice(1);
};
