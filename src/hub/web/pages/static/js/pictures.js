/** Pictures that were asked for: with a message, which frames tell of, or by themselves, which is asked about. */

/** @import { Image, ImageProgress, Job, ResponseError } from "./shapes.js" */

/**
 * `responseId` is null where it was asked for by itself; then its key is its job's id. `position` is how many
 * are before it, null when it does not wait; `progress` goes from 0 to 1. It has ended when it has an `image`
 * or an `error`.
 * @typedef {object} Picture
 * @property {string} key
 * @property {string | null} responseId
 * @property {string} jobId
 * @property {number} progress
 * @property {number | null} position
 * @property {ResponseError | null} error
 * @property {Image | null} image
 */

/** Ended pictures are remembered up to this many. */
const LIMIT = 50;

export class Pictures {
    /** @type {Map<string, Picture>} by response id, or by job id */
    all = new Map();
    /** @type {Set<string>} keys of those that may have ended unnoticed */
    #doubted = new Set();

    /**
     * Learn of a picture that a response brings, unless it is known.
     * @param {string} responseId
     * @param {string} jobId
     */
    expect(responseId, jobId) {
        if (this.all.get(responseId)?.jobId === jobId) return false;
        this.#put(responseId, { responseId, jobId, progress: 0, position: null });
        return true;
    }

    /** @param {ImageProgress} frame */
    progress(frame) {
        const { response_id: responseId, job_id: jobId, progress, position } = frame;
        this.#put(responseId, { responseId, jobId, progress, position });
    }

    /**
     * Take a job as it was asked about.
     * @param {string} key
     * @param {string | null} responseId
     * @param {Job} job
     */
    take(key, responseId, job) {
        const { id: jobId, progress, position, result: image } = job;
        const error = job.error ?? { code: `image_${job.status}`, message: "" };
        const hasFailed =
            job.status === "failed" || job.status === "cancelled" || (job.status === "completed" && !image);
        this.#put(key, { responseId, jobId, progress, position, image, error: hasFailed ? error : null });
    }

    /** @param {string} key */
    remove(key) {
        this.#doubted.delete(key);
        return this.all.delete(key);
    }

    /**
     * @param {string} key
     * @param {ResponseError} error
     */
    fail(key, error) {
        const known = this.all.get(key);
        this.#put(key, { responseId: key, jobId: "", progress: 0, position: null, ...known, error });
    }

    /** Be unsure of those that frames tell of. */
    doubt() {
        for (const picture of this.all.values()) {
            if (picture.responseId && !picture.error) this.#doubted.add(picture.key);
        }
    }

    /** Those that nobody has told of since. */
    get doubted() {
        return [...this.#doubted].flatMap((key) => this.all.get(key) ?? []);
    }

    /**
     * @param {string} key
     * @param {Omit<Picture, "key" | "error" | "image"> & Partial<Picture>} picture
     */
    #put(key, picture) {
        this.#doubted.delete(key);
        this.all.set(key, { error: null, image: null, ...picture, key });
        const ended = [...this.all.values()].filter((each) => each.error || each.image);
        for (const each of ended.slice(0, -LIMIT)) this.all.delete(each.key);
    }
}
