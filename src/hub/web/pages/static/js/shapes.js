/** What the API and the socket speak, as far as the chat reads it. Types only: no page loads this file. */

/** @typedef {"queued" | "in_progress" | "completed" | "failed" | "cancelled"} Status */
/** @typedef {"reply" | "regenerate" | "continue"} Kind */
/** @typedef {{outfit: string, location: string, action: string, expression: string}} Scene */
/** @typedef {{code: string, message: string}} ResponseError */

/**
 * @typedef {object} Image
 * @property {string} id
 * @property {string} url
 * @property {number} width
 * @property {number} height
 * @property {Record<string, unknown> | null} [recipe]
 */

/**
 * @typedef {object} Message
 * @property {string} id
 * @property {string} conversation_id
 * @property {number} position
 * @property {"user" | "assistant"} role
 * @property {string} content
 * @property {string | null} response_id
 * @property {string} created_at
 * @property {Image | null} image
 * @property {number} alternative
 * @property {number} alternatives
 * @property {string | null} edited_at
 */

/**
 * @typedef {object} Alternative
 * @property {number} number
 * @property {string} content
 * @property {string | null} response_id
 * @property {Image | null} image
 * @property {string} created_at
 * @property {boolean} chosen
 */

/**
 * @typedef {object} Response
 * @property {string} id
 * @property {string} conversation_id
 * @property {Status} status
 * @property {string} output_text
 * @property {string | null} message_id
 * @property {number} attempt
 * @property {ResponseError | null} error
 * @property {string | null} image_job_id
 * @property {Kind} kind
 */

/**
 * @typedef {object} Job
 * @property {string} id
 * @property {Status} status
 * @property {number} progress
 * @property {number | null} position
 * @property {Image | null} result
 * @property {ResponseError | null} error
 */

/**
 * @typedef {object} Companion
 * @property {string} id
 * @property {string} name
 * @property {string} greeting
 * @property {Scene} scene
 * @property {Image | null} header_image
 */

/** @typedef {{id: string, companion_id: string, title: string, last_position: number, revision: number}} Conversation */
/** @typedef {{id: string, content: string, generateImage: boolean}} Saying */

/** @typedef {{code: string, message: string, event_id?: string, retry_after?: number}} ErrorInfo */

/**
 * Server frames; those about a conversation carry `conversation_id`.
 * @typedef {(
 *   | {type: "session.created", session: {id: string, user_id: string}}
 *   | {type: "error", error: ErrorInfo}
 *   | TalkFrame
 * )} ServerFrame
 */

/** @typedef {{type: "conversation.item.added", item: Message, event_id?: string}} AddedFrame */
/** @typedef {{type: "companion_hub.item.updated", item: Message, revision: number}} UpdatedFrame */
/** @typedef {{type: "response.image_generation_call.completed", response_id: string, image: Image}} ImageFrame */
/** @typedef {{response_id: string, job_id: string, progress: number, position: number | null}} ImageProgress */

/**
 * @typedef {{conversation_id: string} & (
 *   | {type: "conversation.subscribed", last_position: number, revision: number}
 *   | {type: "companion_hub.resync", last_position: number, revision: number}
 *   | AddedFrame
 *   | UpdatedFrame
 *   | {type: "response.queued", response: Response, event_id?: string}
 *   | {type: "response.in_progress", response: Response}
 *   | {type: "response.output_text.delta", response_id: string, offset: number, delta: string}
 *   | {type: "response.output_text.done", response_id: string, text: string}
 *   | {type: "response.completed", response: Response}
 *   | {type: "response.failed", response: Response}
 *   | {type: "response.cancelled", response: Response}
 *   | {type: "companion_hub.scene", scene: Scene}
 *   | {type: "response.image_generation_call.in_progress"} & ImageProgress
 *   | ImageFrame
 *   | {type: "response.image_generation_call.failed", response_id: string, error: ResponseError}
 * )} TalkFrame
 */

/**
 * @typedef {(
 *   | {type: "conversation.subscribe", conversation_id: string, after: number, revision: number, event_id: string}
 *   | {type: "conversation.unsubscribe", conversation_id: string}
 *   | {type: "conversation.item.create", event_id: string, conversation_id: string,
 *      item: {type: "message", role: "user", content: string}, response: {generate_image: boolean}}
 *   | {type: "response.cancel", response_id: string, event_id: string}
 * )} ClientFrame
 */

/** @typedef {"connecting" | "open" | "offline" | "signed-out"} Connection */

/** @typedef {Pick<Storage, "length" | "key" | "getItem" | "setItem" | "removeItem">} Store */

/**
 * What tells of the browser's state: the window, or nothing.
 * @typedef {{addEventListener(type: string, listener: (event: any) => void): void,
 *   removeEventListener(type: string, listener: (event: any) => void): void}} Signals
 */

export {};
