// Changes Locust's forms: the rates come first and unfolded, each with what it is a second, with mixes
// that fill them in and a note on users and rates. A form shows the current rates, also those that were
// changed elsewhere, which posting it would undo. The load's answer is shown, since Locust's Edit dialog
// closes before it could show why a value was refused, or that the workers applied a change.
(() => {
  const originalFetch = window.fetch;
  let shown;
  const currentSettings = new Map(); // by the name of a form's field

  function show(text, refused) {
    shown?.remove();
    shown = document.createElement("div");
    shown.setAttribute("role", refused ? "alert" : "status");
    shown.textContent = text;
    shown.className = `loadgen-notice${refused ? " loadgen-refused" : ""}`;
    document.body.append(shown);
    const notice = shown;
    setTimeout(() => notice.remove(), refused ? 15000 : 6000);
  }

  function showAnswer({ message, success }) {
    const isNew = success ? message !== "Swarming started" : !document.body.innerText.includes(message);
    if (isNew) show(message, !success);
  }

  const camelCase = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

  function rememberSettings({ current_settings: settings = {} }) {
    for (const [name, setting] of Object.entries(settings)) {
      currentSettings.set(camelCase(name), String(setting));
    }
  }

  function element(tag, className, ...children) {
    const made = document.createElement(tag);
    made.className = className;
    made.append(...children);
    return made;
  }

  const number = (figure) => Number(figure.toPrecision(3)).toLocaleString("en");

  // A rate an hour as a person says it: 10 a second, or one every 72 seconds.
  function pace(perHour) {
    if (!(perHour > 0)) return perHour === 0 ? "none" : "";
    const seconds = 3600 / perHour;
    if (seconds <= 1) return `${number(1 / seconds)} a second`;
    if (seconds < 120) return `one every ${number(seconds)} s`;
    return seconds < 7200 ? `one every ${number(seconds / 60)} min` : `one every ${number(seconds / 3600)} h`;
  }

  // As the load reads a rate; NaN for anything that it refuses.
  const rateIn = (field) => (field.value.trim() === "" ? NaN : Number(field.value));

  function setField(field, setting) {
    field.value = setting;
    field.dispatchEvent(new Event("loadgen"));
  }

  function fillInCurrent(form) {
    for (const field of form.querySelectorAll("input[name], select[name]")) {
      if (currentSettings.has(field.name)) setField(field, currentSettings.get(field.name));
    }
  }

  function note(isEdit) {
    const rates = element("p", "", element("b", "", "Rates"), " set how much is written: so many writes of each kind fall due an hour, whatever the number of users. ");
    const users = element("p", "", element("b", "", "Users"), " are database connections that perform the writes. More users do not write more; too few skip writes, which the Load tab counts.");
    if (isEdit) rates.append("A change takes effect within a second and is noted in the run's record.");
    return element("div", "loadgen-note", rates, users);
  }

  function improve(form) {
    const details = form.querySelector("input[name$=PerHour]")?.closest(".MuiAccordion-root");
    if (!details || form.dataset.loadgen) return;
    form.dataset.loadgen = "improved";
    const isEdit = !form.querySelector("[name=host]");
    const { mixes, begin_with_demo: beginWithDemo } = window.templateArgs.loadgen;
    const fields = [...details.querySelectorAll("input[name$=PerHour]")];
    const fieldOf = (name) => fields.find((field) => field.name === camelCase(name));

    form.before(note(isEdit));
    details.dataset.loadgen = "rates"; // React would drop a class
    details.parentElement.prepend(details);
    const heading = details.querySelector("button, [role=button]");
    if (heading.getAttribute("aria-expanded") === "false") heading.click();
    // It stays unfolded.
    heading.addEventListener("click", (event) => event.stopPropagation());
    heading.querySelector(".MuiTypography-root").textContent = "Rates: writes per hour, for all users together";

    const total = element("p", "loadgen-total");
    total.setAttribute("role", "note");
    for (const field of fields) {
      const hint = element("p", "loadgen-pace");
      field.closest(".MuiFormControl-root").append(hint);
      const show = () => {
        hint.textContent = pace(rateIn(field));
        const sum = fields.reduce((before, { value }) => before + (Number(value) || 0), 0);
        total.textContent = `Together: ${pace(sum)}; ${number(sum * 24)} writes a day.`;
      };
      field.addEventListener("input", show);
      field.addEventListener("loadgen", show);
      show();
    }
    const buttons = mixes.map(({ title, rates }) => {
      const sum = Object.values(rates).reduce((before, rate) => before + rate, 0);
      const button = element("button", "loadgen-mix", `${title} (${pace(sum)})`);
      button.type = "button";
      button.addEventListener("click", () => {
        for (const [name, rate] of Object.entries(rates)) setField(fieldOf(name), rate);
      });
      return button;
    });
    const list = fields[0].closest(".MuiFormControl-root").parentElement;
    list.classList.add("loadgen-fields");
    list.prepend(element("div", "loadgen-mixes", ...buttons));
    fields.at(-1).closest(".MuiFormControl-root").after(total);

    const isFirst = window.templateArgs.state === "ready" && currentSettings.size === 0;
    if (beginWithDemo && isFirst) buttons[0].click();
    else fillInCurrent(form);
  }

  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const added of addedNodes) {
        if (added instanceof Element) {
          for (const form of added.matches("form") ? [added] : added.querySelectorAll("form")) improve(form);
        }
      }
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
