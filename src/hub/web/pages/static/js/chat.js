// The chat: its elements, in the order in which they need each other.

import { HubComposer } from "./chat/composer.js";
import { HubFind } from "./chat/find.js";
import { HubMessage } from "./chat/message.js";
import { HubChat } from "./chat/room.js";
import { HubScene } from "./chat/scene.js";
import { HubTranscript } from "./chat/transcript.js";

customElements.define("hub-message", HubMessage);
customElements.define("hub-transcript", HubTranscript);
customElements.define("hub-composer", HubComposer);
customElements.define("hub-scene", HubScene);
customElements.define("hub-find", HubFind);
customElements.define("hub-chat", HubChat);
