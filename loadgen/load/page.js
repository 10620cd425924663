// Shows the load's answer to a form, and the current rates in each form. Locust's Edit dialog closes
// before it could show why a value was refused, never shows whether the workers applied a change, and
// shows the rates that this page knew last: posting it would undo changes that were made elsewhere
// meanwhile.
(() => {
  const originalFetch = window.fetch;
  let shown;
  const currentSettings = new Map(); // by the name of a form's field

  function show(text, refused) {
    shown?.remove();
    shown = document.createElement("div");
    shown.setAttribute("role", refused ? "alert" : "status");
    shown.textContent = text;
    Object.assign(shown.style, {
      position: "fixed", bottom: "24px", left: "50%", transform: "translateX(-50%)",
      maxWidth: "80vw", padding: "12px 20px", borderRadius: "6px", zIndex: 2000,
      font: "15px/1.4 Roboto, Helvetica, Arial, sans-serif", color: "#fff",
      background: refused ? "#b3261e" : "#15803d", boxShadow: "0 4px 16px rgba(0, 0, 0, 0.35)",
    });
    document.body.append(shown);
    const notice = shown;
    setTimeout(() => notice.remove(), refused ? 15000 : 6000);
  }

  function showAnswer({ message, success }) {
    const isNew = success ? message !== "Swarming started" : !document.body.innerText.includes(message);
    if (isNew) show(message, !success);
  }

  function rememberSettings({ current_settings: settings = {} }) {
    for (const [name, setting] of Object.entries(settings)) {
      currentSettings.set(name.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), String(setting));
    }
  }

  function fillIn(added) {
    for (const field of added.querySelectorAll("input[name], select[name]")) {
      if (currentSettings.has(field.name)) field.value = currentSettings.get(field.name);
    }
  }

  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const added of addedNodes) if (added instanceof Element) fillIn(added);
    }
  }).observe(document, { childList: true, subtree: true });

  window.fetch = async (...parameters) => {
    const request = new Request(...parameters);
    const path = new URL(request.url).pathname;
    const isForm = request.method === "POST" && path.endsWith("/swarm");
    const response = await originalFetch(request);
    if (path.endsWith("/stats/requests")) {
      response.clone().json().then(rememberSettings, () => {});
    } else if (isForm) {
      // After the page has had its turn: the form for a new run shows a refusal itself.
      response.clone().json().then((answer) => setTimeout(showAnswer, 300, answer), () => {});
    }
    return response;
  };
})();
