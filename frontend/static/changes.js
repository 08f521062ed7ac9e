// A shared worker that holds one stream of changes for all tabs, because browsers open at most six
// connections to a host and each open stream takes one of them.
// A tab sends `follow` while it is visible and shows runs, and `leave` when it no longer does. It receives
// `open` when the stream opens, `lost` when it breaks, and the data of each event. After `open`, a tab asks
// the server for what it has missed.
const REOPEN_AFTER_MS = 3000;

const following = new Set();
let source = null;
let reopening;

const tell = message => following.forEach(port => port.postMessage(message));

function update() {
  clearTimeout(reopening);
  if (following.size === 0) {
    source?.close();
    source = null;
  } else if (source === null) {
    source = new EventSource("api/changes");
    source.onopen = () => tell("open");
    source.onmessage = event => tell(event.data);
    source.onerror = () => {
      tell("lost");
      // The browser reconnects by itself, except when the server refused the stream.
      if (source?.readyState === EventSource.CLOSED) {
        source = null;
        reopening = setTimeout(update, REOPEN_AFTER_MS);
      }
    };
  }
}

function leave(port) {
  following.delete(port);
  update();
}

onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    if (data !== "follow") return leave(port);
    following.add(port);
    if (source?.readyState === EventSource.OPEN) port.postMessage("open");
    update();
  };
  // A tab has crashed. Not all browsers send this event.
  port.onclose = () => leave(port);
};
