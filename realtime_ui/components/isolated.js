/** Text from outside in attributes: `<bdi>` and `unicode-bidi` reach elements alone, not a `title` or `aria-label`. */
const [ISOLATE, END] = ["\u2068", "\u2069"];

/** A text between U+2068 and U+2069, so that its direction changes nothing around it; "" where there is none. */
export const isolated = (text) => (text ? `${ISOLATE}${text}${END}` : "");
