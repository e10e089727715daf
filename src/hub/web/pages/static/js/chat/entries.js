/** What the transcript shows of a talk, in its order. */

import { _ } from "../words.js";

/** @import { Talk } from "../talk.js" */
/** @import { Entry } from "./message.js" */

/** @type {Omit<Entry, "key" | "isUser">} */
const NOTHING = {
  item: null,
  text: null,
  state: "",
  detail: "",
  canRegenerate: false,
  canContinue: false,
  image: null,
  picture: null,
};

/**
 * Messages, then what is under way behind the last of them, then what was not sent yet.
 * @param {Talk} talk
 * @returns {Entry[]}
 */
export function entriesOf(talk) {
  const entries = talk.items.map((item, index) => message(talk, item, index));
  if (talk.hasNewer) return entries;
  return [...entries, ...reply(talk), ...unsent(talk), ...pictures(talk)];
}

/**
 * @param {Talk} talk
 * @param {Talk["items"][number]} item
 * @param {number} index
 * @returns {Entry}
 */
function message(talk, item, index) {
  const { running, items } = talk;
  const isUser = item.role === "user";
  const isLast = index === items.length - 1 && !talk.hasNewer && !running && talk.outbox.length === 0;
  const picture = (item.response_id && talk.pictures.get(item.response_id)) || null;
  const base = { ...NOTHING, key: talk.keyOf(item), isUser, item, image: item.image, picture };
  if (running?.messageId === item.id) {
    const { status: state, text, kind } = running;
    // What is written anew may get another picture; what goes on keeps it.
    return kind === "continue" ? { ...base, state, text: text || null } : { ...base, state, text, image: null };
  }
  if (!isLast) return base;
  if (isUser) return talk.canReply && !talk.ended ? { ...base, state: "unanswered" } : base;
  const isAnswer = items[index - 1]?.role === "user";
  const own = { ...base, canRegenerate: isAnswer, canContinue: true };
  return talk.ended && talk.ended.kind !== "reply" ? { ...own, ...fate(talk.ended) } : own;
}

/**
 * A reply that is no message yet.
 * @param {Talk} talk
 * @returns {Entry[]}
 */
function reply({ running, ended }) {
  const base = { ...NOTHING, isUser: false };
  if (running && running.messageId === null) {
    return [{ ...base, key: running.id, state: running.status, text: running.text }];
  }
  if (!running && ended?.kind === "reply") return [{ ...base, key: ended.id, text: ended.text, ...fate(ended) }];
  return [];
}

/** @param {NonNullable<Talk["ended"]>} ended */
function fate({ status, error }) {
  return { state: status, detail: error?.message || _("That did not work.") };
}

/**
 * @param {Talk} talk
 * @returns {Entry[]}
 */
function unsent({ outbox }) {
  return outbox.map(({ eventId, content, state, problem }) => {
    return { ...NOTHING, key: eventId, isUser: true, text: content, state, detail: problem?.detail ?? "" };
  });
}

/**
 * Pictures that were asked for without a message.
 * @param {Talk} talk
 * @returns {Entry[]}
 */
function pictures(talk) {
  const own = [...talk.pictures.values()].filter((picture) => picture.responseId === null);
  return own.map((picture) => ({ ...NOTHING, key: picture.key, isUser: false, picture }));
}
