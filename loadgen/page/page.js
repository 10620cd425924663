// Says what the load answered to a form. Locust's Edit dialog closes before it could show why a
// value was refused, and never tells whether the workers took a change over.
(() => {
  const send = window.fetch;
  let shown;

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

  window.fetch = async (...given) => {
    const asked = new Request(...given);
    const form = asked.method === "POST" && new URL(asked.url).pathname.endsWith("/swarm");
    const answer = await send(asked);
    if (form) {
      // After the page has had its turn: the form for a new run shows a refusal itself.
      answer.clone().json().then((found) => setTimeout(tell, 300, found), () => {});
    }
    return answer;
  };
})();
