// Shows why the application does not start: no WebAssembly, a file that failed to load, or a policy that
// forbids it. Uses only old JavaScript, so that it also runs in browsers that cannot run the application.
(function () {
  "use strict";
  var PATIENCE_MS = 15000;
  var failed = false;
  var blocked = "";

  function boot() {
    var place = document.getElementById("boot");
    if (!place && document.body) {
      place = document.createElement("div");
      place.id = "boot";
      place.className = "boot";
      document.body.insertBefore(place, document.body.firstChild);
    }
    return place;
  }

  function line(name, text, className) {
    var element = document.createElement(name);
    element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  function say(title, advice, cause) {
    var place = boot();
    if (!place) return;
    failed = true;
    place.textContent = "";
    place.className = "boot boot-failed";
    place.setAttribute("role", "alert");
    place.appendChild(line("h1", title));
    place.appendChild(line("p", advice));
    if (cause) place.appendChild(line("p", "The browser says: " + cause, "boot-cause"));
    var again = line("button", "Try again", "button");
    again.type = "button";
    again.addEventListener("click", function () { location.reload(); });
    place.appendChild(again);
  }

  // Explains the likely cause of an error.
  function explain(error) {
    if (unsupported()) return;
    var said = String((error && error.message) || error || "");
    var cause = (error && error.name ? error.name + ": " : "") + said;
    if (/unsafe-eval|Content Security Policy|content security/i.test(said) || /script-src|wasm/i.test(blocked)) {
      say("WebAssembly is blocked", "A security policy forbids this page to run WebAssembly, which CrossLens is made of. Ask whoever runs the proxy or the browser to allow 'wasm-unsafe-eval' in script-src.", cause);
    } else if (error && (error.name === "CompileError" || error.name === "LinkError")) {
      say("The application cannot be run", "Its WebAssembly was changed on the way, or this browser is too old for it. Reload the page without the cache; if that does not help, use a current Firefox, Chrome, Edge or Safari.", cause);
    } else if (error && (error.name === "TypeError" || error.name === "NetworkError" || error.name === "AbortError" || /fetch|import|load|HTTP/i.test(said))) {
      say("The application could not be loaded", "One of its files did not come: the connection broke off, the server has stopped, or something between blocks it.", cause);
    } else {
      say("The application did not start", "Something went wrong that should not. Reload the page; if that does not help, the message below says what to report.", cause);
    }
  }

  window.crosslensFailed = explain;

  document.addEventListener("securitypolicyviolation", function (event) {
    blocked += " " + (event.effectiveDirective || event.violatedDirective) + " " + event.blockedURI;
  });

  // Error events of elements do not bubble, so they are caught in the capture phase.
  window.addEventListener("error", function (event) {
    var element = event.target;
    // Once the application runs, a failing script is not part of it.
    if (element && element.tagName === "SCRIPT" && document.getElementById("boot")) {
      explain({ name: "NetworkError", message: element.src + " did not load" });
    }
  }, true);

  // Whether this browser cannot run the application at all.
  function unsupported() {
    if (typeof WebAssembly !== "object" || typeof WebAssembly.instantiate !== "function") {
      say("This browser does not run WebAssembly", "CrossLens is made of WebAssembly. It is switched off here, as some browsers do in their strictest mode, or the browser is too old: allow it for this page, or use a current Firefox, Chrome, Edge or Safari.", "");
    } else if (!("noModule" in document.createElement("script"))) {
      say("This browser is too old", "CrossLens needs JavaScript modules and WebAssembly: use a current Firefox, Chrome, Edge or Safari.", "");
    }
    return failed;
  }

  document.addEventListener("DOMContentLoaded", unsupported);

  // A download that hangs raises no error, so a message appears after a while.
  setTimeout(function () {
    var place = document.getElementById("boot");
    if (!failed && place) {
      place.appendChild(line("p", "This takes long. The application is about 1 MB; if nothing comes, the connection or the server hangs: reload the page.", "boot-patience"));
    }
  }, PATIENCE_MS);
})();
