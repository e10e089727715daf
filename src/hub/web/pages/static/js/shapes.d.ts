/** What the API and the socket speak, as far as the chat reads it. */

export type Status = "queued" | "in_progress" | "completed" | "failed" | "cancelled";
export type Kind = "reply" | "regenerate" | "continue";
export type Connection = "connecting" | "open" | "offline" | "signed-out";
export type Store = Pick<Storage, "length" | "key" | "getItem" | "setItem" | "removeItem">;

/** What tells of the browser's state: the window. */
export interface Signals {
    addEventListener(type: string, listener: (event: any) => void): void;
    removeEventListener(type: string, listener: (event: any) => void): void;
}

export interface Scene {
    outfit: string;
    location: string;
    action: string;
    expression: string;
}

export interface ResponseError {
    code: string;
    message: string;
}

export interface Image {
    id: string;
    url: string;
    width: number;
    height: number;
    recipe?: Record<string, unknown> | null;
}

export interface Message {
    id: string;
    conversation_id: string;
    position: number;
    role: "user" | "assistant";
    content: string;
    response_id: string | null;
    created_at: string;
    image: Image | null;
    alternative: number;
    alternatives: number;
    edited_at: string | null;
}

export interface Alternative {
    number: number;
    content: string;
    response_id: string | null;
    image: Image | null;
    created_at: string;
    chosen: boolean;
}

export interface Response {
    id: string;
    conversation_id: string;
    status: Status;
    output_text: string;
    message_id: string | null;
    attempt: number;
    error: ResponseError | null;
    image_job_id: string | null;
    kind: Kind;
}

export interface Job {
    id: string;
    status: Status;
    progress: number;
    position: number | null;
    result: Image | null;
    error: ResponseError | null;
    completed_at: string | null;
}

export interface Companion {
    id: string;
    name: string;
    greeting: string;
    scene: Scene;
    header_image: Image | null;
}

export interface ErrorInfo {
    code: string;
    message: string;
    event_id?: string;
    retry_after?: number;
}

// Server frames

interface About<Type extends string> {
    type: Type;
    conversation_id: string;
}

interface Standing {
    last_position: number;
    revision: number;
}

export interface ImageProgress {
    response_id: string;
    job_id: string;
    progress: number;
    position: number | null;
}

export type AddedFrame = About<"conversation.item.added"> & { item: Message; event_id?: string };
export type UpdatedFrame = About<"companion_hub.item.updated"> & { item: Message; revision: number };
export type ImageFrame = About<"response.image_generation_call.completed"> & { response_id: string; image: Image };

export type TalkFrame =
    | (About<"conversation.subscribed"> & Standing)
    | (About<"companion_hub.resync"> & Standing)
    | AddedFrame
    | UpdatedFrame
    | (About<"response.queued"> & { response: Response; event_id?: string })
    | (About<"response.in_progress"> & { response: Response })
    | (About<"response.output_text.delta"> & { response_id: string; offset: number; delta: string })
    | (About<"response.output_text.done"> & { response_id: string; text: string })
    | (About<"response.completed"> & { response: Response })
    | (About<"response.failed"> & { response: Response })
    | (About<"response.cancelled"> & { response: Response })
    | (About<"companion_hub.scene"> & { scene: Scene })
    | (About<"response.image_generation_call.in_progress"> & ImageProgress)
    | ImageFrame
    | (About<"response.image_generation_call.failed"> & { response_id: string; error: ResponseError });

export type ServerFrame =
    | { type: "session.created"; session: { id: string; user_id: string } }
    | { type: "error"; error: ErrorInfo }
    | TalkFrame;

// Client frames

interface NewItem {
    type: "message";
    role: "user";
    content: string;
}

export type ClientFrame =
    | (About<"conversation.subscribe"> & { after: number; revision: number; event_id: string })
    | About<"conversation.unsubscribe">
    | (About<"conversation.item.create"> & { event_id: string; item: NewItem; response: { generate_image: boolean } })
    | { type: "response.cancel"; response_id: string; event_id: string };
