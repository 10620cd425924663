// Says what the load answered to a form, and shows in each form the rates in force. Locust's Edit
// dialog closes before it could show why a value was refused, never tells whether the workers took a
// change over, and shows what this page itself knew last: a form that was posted with it would undo
// what was changed elsewhere meanwhile.
(() => {
  const send = window.fetch;
  let shown;
  const inForce = new Map(); // by the name of a form's field

  function say(text, refused) {
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
    const mine = shown;
    setTimeout(() => mine.remove(), refused ? 15000 : 6000);
  }

  function tell({ message, success }) {
    const news = success ? message !== "Swarming started" : !document.body.innerText.includes(message);
    if (news) say(message, !success);
  }

  function learn({ in_force: settings = {} }) {
    for (const [name, value] of Object.entries(settings)) {
      inForce.set(name.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), String(value));
    }
  }

  function correct(added) {
    for (const field of added.querySelectorAll("input[name], select[name]")) {
      if (inForce.has(field.name)) field.value = inForce.get(field.name);
    }
  }

  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const added of addedNodes) if (added instanceof Element) correct(added);
    }
  }).observe(document, { childList: true, subtree: true });

  window.fetch = async (...given) => {
    const asked = new Request(...given);
    const path = new URL(asked.url).pathname;
    const form = asked.method === "POST" && path.endsWith("/swarm");
    const answer = await send(asked);
    if (path.endsWith("/stats/requests")) {
      answer.clone().json().then(learn, () => {});
    } else if (form) {
      // After the page has had its turn: the form for a new run shows a refusal itself.
      answer.clone().json().then((found) => setTimeout(tell, 300, found), () => {});
    }
    return answer;
  };
})();
