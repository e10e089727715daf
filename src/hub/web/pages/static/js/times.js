// Times as the reader's clock and language have them; without scripts they stand there in UTC.

const language = document.documentElement.lang;
const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });
const whole = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "medium" });

/**
 * Say a time shortly: the hour for today, else the day as well.
 * @param {Date} moment
 */
export function shortly(moment) {
    const isToday = moment.toDateString() === new Date().toDateString();
    return isToday ? clock.format(moment) : `${day.format(moment)}, ${clock.format(moment)}`;
}

/**
 * Say a time in full.
 * @param {Date} moment
 */
export function inFull(moment) {
    return whole.format(moment);
}

/**
 * Show all times below an element as the reader's clock has them.
 * @param {ParentNode} root
 */
export function localTimes(root) {
    for (const element of root.querySelectorAll("time[datetime]")) {
        const moment = new Date(element.getAttribute("datetime") ?? "");
        if (!Number.isNaN(moment.getTime())) {
            element.textContent = shortly(moment);
            element.setAttribute("title", inFull(moment));
        }
    }
}
