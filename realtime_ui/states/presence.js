/**
 * Who is present: on the channel that the tab is on, and in the whole tenant for whoever looks at the roster.
 *
 * The first answer is the list, then come numbered diffs; a hole makes the tab ask for the list again.
 */
import { useEffect } from "react";
import { Backoff } from "./backoff.js";
import { Store, addPart, ask, connectFeed, feedId, tell, useStore, wordsOf } from "./connection.js";
import { serverNow } from "./server_time.js";

const LINGER_MS = 1_000; // a page that is put together anew lets go for a moment
const KEEP_LEFT_MS = 60_000;
const KEEP_LEFT = 100;
const HIDDEN_AWAY_MS = 60_000;
const IDLE_AWAY_MS = 5 * 60_000;
const LOOK_MS = 5_000;
const TYPING_EVERY_MS = 2_000;
const TYPING_ENDS_MS = 4_000;

const isBrowser = typeof window !== "undefined";

const NOBODY = {
  members: [], // {person, name, state, since, tabs, metas}
  left: [], // members that went within the last minute, with `left_at`
  count: 0,
  me: "", // the person's own id
  loading: true,
  error: "",
};

/** One list of members. `question()` gives the event that asks for it and its data. */
class Members {
  constructor(question) {
    this.question = question;
    this.users = 0;
    this.number = null; // of the last diff that the list has; null before the first answer
    this.asking = false;
    this.again = false; // something was added to the question while asking
    this.lost = null; // when the connection went
    this.waiting = []; // diffs that came while asking
    this.timer = null;
    this.retry = new Backoff(() => this.sync());
    this.store = new Store(NOBODY);
  }

  async sync() {
    this.again = this.asking;
    if (this.asking || !this.users || !feedId()) return;
    this.asking = true;
    const socket = feedId();
    try {
      const { members, count, n, me } = await ask(...this.question());
      if (!this.users) return;
      const { members: before, left } = this.store.value;
      const here = new Set(members.map(({ person }) => person));
      const went = [...left, ...before.map(leavingAt(this.lost ?? serverNow()))];
      this.retry.reset();
      this.number = n;
      this.lost = null;
      this.store.set({
        members,
        count,
        me,
        left: justLeft(went.filter(({ person }) => !here.has(person))),
        loading: false,
        error: "",
      });
      this.forgetLater();
    } catch (problem) {
      this.store.set({ error: wordsOf(problem) });
      if (problem.retryable ?? true) this.retry.later();
    } finally {
      this.asking = false;
      const waiting = this.waiting;
      this.waiting = [];
      if (this.again || socket !== feedId()) this.sync();
      else waiting.forEach((diff) => this.take(diff));
    }
  }

  take(diff) {
    if (this.asking) return this.waiting.push(diff);
    if (this.number === null || diff.n <= this.number) return undefined;
    if (diff.n !== this.number + 1) return this.sync();
    this.number = diff.n;
    const { members, left } = this.store.value;
    const changed = new Map(diff.updates.map((member) => [member.person, member]));
    const leaves = new Set(diff.leaves);
    const joined = new Set(diff.joins.map(({ person }) => person));
    this.store.set({
      members: [
        ...members.filter(({ person }) => !leaves.has(person)).map((member) => changed.get(member.person) ?? member),
        ...diff.joins,
      ],
      left: justLeft([
        ...left.filter(({ person }) => !joined.has(person)),
        ...members.filter(({ person }) => leaves.has(person)).map(leavingAt(serverNow())),
      ]),
      count: diff.count,
    });
    this.forgetLater();
    return undefined;
  }

  /** The connection went: whoever is missing when it is back left no later than now. */
  pause() {
    this.lost ??= serverNow();
  }

  /** Nobody looks any more. */
  close() {
    clearTimeout(this.timer);
    this.number = null;
    this.store.set(NOBODY);
  }

  /** Those who went are shown for a minute. */
  forgetLater() {
    clearTimeout(this.timer);
    const { left } = this.store.value;
    if (left.length === 0) return;
    const next = Math.min(...left.map(({ left_at }) => left_at)) + KEEP_LEFT_MS;
    this.timer = setTimeout(() => {
      this.store.set({ left: justLeft(this.store.value.left) });
      this.forgetLater();
    }, Math.max(100, next - serverNow()));
  }
}

const leavingAt = (left_at) => (member) => ({ ...member, left_at });
const justLeft = (left) => left.filter(({ left_at }) => serverNow() - left_at < KEEP_LEFT_MS).slice(-KEEP_LEFT);

/** Everybody in the tenant. */
const roster = new Members(() => ["roster"]);

/** The channel that the tab is on, or "" while it is elsewhere; and what is said of the person there. */
const here = { channel: "", members: null, states: new Set(), said: "online", away: false, typing: false, told: "online" };
const nowhere = new Store(NOBODY);
const place = new Store({ channel: "" }); // components that only read must hear when it changes

const activity = () => (here.away ? "away" : here.typing ? "typing" : here.said);

/** Tell the server what is said of the person, where that changed. */
const tellActivity = (again = false) => {
  const state = activity();
  if ((state === here.told && !again) || !feedId()) return;
  here.told = state;
  tell("presence_update", { channel: here.channel, state });
};

const enter = (channel) => {
  if (here.channel === channel) return;
  here.channel = channel;
  here.states = new Set();
  here.typing = false;
  here.members = new Members(() => {
    here.told = activity();
    return ["presence_enter", { channel, state: here.told, states: [...here.states] }];
  });
  place.set({ channel });
};

const leave = (channel) => {
  if (here.channel !== channel) return;
  here.channel = "";
  here.members.close();
  here.members = null;
  here.typing = false;
  place.set({ channel: "" });
  tell("presence_leave", { channel });
};

addPart({
  wanted: () => here.channel !== "" || roster.users > 0,
  connected: () => {
    if (here.members) here.members.sync();
    else if (activity() !== "online") tellActivity(true);
    roster.sync();
  },
  paused: () => {
    here.members?.pause();
    roster.pause();
  },
  events: { presence: (diff) => (diff.room === "" ? roster.take(diff) : diff.room === here.channel && here.members.take(diff)) },
});

/** The members of a channel, for whoever shows them; enters nothing. */
export const usePresence = (channel) => {
  const { channel: current } = useStore(place);
  return useStore(channel && channel === current ? here.members.store : nowhere);
};

/** Be on a channel while the component is there. */
export const useEntered = (channel, said, state) => {
  useEffect(() => {
    if (!channel) return undefined;
    enter(channel);
    const { members } = here;
    members.users += 1;
    const fresh = state && !here.states.has(state);
    if (fresh) here.states.add(state);
    connectFeed();
    if (members.number === null || fresh) members.sync();
    return () => {
      members.users -= 1;
      setTimeout(() => members.users === 0 && here.members === members && leave(channel), LINGER_MS);
    };
  }, [channel, state]);
  useEffect(() => {
    here.said = said;
    tellActivity();
  }, [said]);
  return usePresence(channel);
};

/** Everybody in the tenant, while the component is there. */
export const useRoster = () => {
  useEffect(() => {
    roster.users += 1;
    connectFeed();
    roster.sync();
    return () => {
      roster.users -= 1;
      if (roster.users > 0) return;
      roster.close();
      tell("roster_leave");
    };
  }, []);
  return useStore(roster.store);
};

let typingTimer = null;
let typingSaid = 0;

/** A key was pressed in a field that counts as typing. */
const typed = () => {
  clearTimeout(typingTimer);
  typingTimer = setTimeout(stopTyping, TYPING_ENDS_MS);
  here.typing = true;
  if (Date.now() - typingSaid < TYPING_EVERY_MS) return;
  typingSaid = Date.now();
  tellActivity(true);
};

const stopTyping = () => {
  clearTimeout(typingTimer);
  here.typing = false;
  typingSaid = 0;
  tellActivity();
};

/** Say that the person is typing while they write in the field with that id, until they pause or send. */
export const useTypingIn = (field) => {
  useEffect(() => {
    const onInput = ({ target }) => target.id === field && (target.value ? typed() : stopTyping());
    const onSubmit = ({ target }) => target.elements?.namedItem(field) && stopTyping();
    document.addEventListener("input", onInput);
    document.addEventListener("submit", onSubmit);
    return () => {
      document.removeEventListener("input", onInput);
      document.removeEventListener("submit", onSubmit);
      stopTyping();
    };
  }, [field]);
};

if (isBrowser) {
  let used = Date.now();
  let hidden = document.visibilityState === "hidden" ? Date.now() : null;
  const look = () => {
    const now = Date.now();
    here.away = now - used >= IDLE_AWAY_MS || (hidden !== null && now - hidden >= HIDDEN_AWAY_MS);
    tellActivity();
  };
  const use = () => {
    used = Date.now();
    if (here.away && hidden === null) look();
  };
  for (const event of ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"]) {
    window.addEventListener(event, use, { passive: true, capture: true });
  }
  document.addEventListener("visibilitychange", () => {
    hidden = document.visibilityState === "hidden" ? Date.now() : null;
    if (hidden === null) use();
  });
  setInterval(look, LOOK_MS);
}
