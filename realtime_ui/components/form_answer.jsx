/**
 * Inside a form: sends it without leaving the page, so that what was typed stays where it is when the form is refused
 * or nobody answers, and says why. What is accepted is followed to the page that the server names.
 */
import "./realtime.css";
import "./outbox.css";
import { useEffect, useRef, useState } from "react";

const ANSWER_MS = 30_000;
const NOT_ANSWERED = "The server cannot be reached. What you typed is still here; try again in a moment.";

/** A refusal's sentence, from the names in the address to which the server sends a refused form. */
const wordsOf = (params, problems, other) => {
  const known = [params.get("problem"), params.get("field")].find((name) => Object.hasOwn(problems, name ?? ""));
  return known === undefined ? other : problems[known];
};

/** An address's page; a page that was loaded from the server has a slash at its end. */
const pageOf = ({ pathname }) => pathname.replace(/\/$/, "");

/** Send the form; the address of the page that answers. */
const send = async (form) => {
  const body = new URLSearchParams(new FormData(form));
  const signal = AbortSignal.timeout(ANSWER_MS);
  const response = await fetch(form.action, { method: "POST", body, credentials: "same-origin", signal });
  if (!response.ok || !response.redirected) throw new Error(`The answer is ${response.status}.`);
  return new URL(response.url);
};

export function FormAnswer({ problems, other }) {
  const mark = useRef(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const form = mark.current.closest("form");
    const told = new URLSearchParams(window.location.search); // by a form that the browser itself sent
    if (told.has("problem")) setProblem(wordsOf(told, problems, other));
    let busy = false;
    const onSubmit = async (event) => {
      // In development the API has another origin; the browser itself sends the form there.
      if (new URL(form.action).origin !== window.location.origin) return;
      event.preventDefault();
      if (busy) return;
      busy = true;
      setProblem("");
      try {
        const page = await send(form);
        const refused = pageOf(page) === pageOf(window.location) && page.searchParams.has("problem");
        if (refused) setProblem(wordsOf(page.searchParams, problems, other));
        else window.location.assign(page);
      } catch {
        setProblem(NOT_ANSWERED);
      } finally {
        busy = false;
      }
    };
    form.addEventListener("submit", onSubmit);
    return () => form.removeEventListener("submit", onSubmit);
  }, []);
  return (
    <div ref={mark} className="rt-form-answer">
      {problem && <p role="alert" className="rt-problem">{problem}</p>}
    </div>
  );
}
