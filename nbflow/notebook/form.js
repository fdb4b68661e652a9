// A form that stands in the place of the table of its parameters. The table is what the notebook saves: a view of a
// widget would be saved as an id that no later kernel knows.

async function viewOf(model) {
  const id = model.get("form").slice("IPY_MODEL_".length);
  return model.widget_manager.create_view(await model.widget_manager.get_model(id));
}

// What Lumino says to a widget that it attaches; its module cannot be had in here.
function attach(view, node) {
  view.luminoWidget.processMessage({ type: "before-attach" });
  node.append(view.el);
  view.luminoWidget.processMessage({ type: "after-attach" });
}

function connected(el) {
  return new Promise((resolve) => {
    const look = () => (el.isConnected ? resolve() : requestAnimationFrame(look));
    look();
  });
}

// Waits for the table that the kernel is asked for, and puts the form before it.
function settle(model, view, output) {
  const area = output.parentElement;
  const at = [...area.children].indexOf(output);
  const observer = new MutationObserver(() => {
    const table = area.children[at]?.querySelector(".nbflow-params");
    if (!table) return;
    observer.disconnect();
    table.before(view.el);
    table.style.display = "none";
    model.on("comm_live_update", () => {
      if (model.widget_manager.kernel?.status === "dead" || !view.model.comm_live) {
        view.el.remove();
        table.style.display = "";
      }
    });
  });
  observer.observe(area, { childList: true, subtree: true });
  model.send({ do: "settle" });
}

export default {
  async render({ model, el }) {
    const view = await viewOf(model);
    attach(view, el);
    // It is attached only after this function has returned.
    connected(el).then(() => {
      const output = el.closest(".jp-OutputArea-child");
      if (output) settle(model, view, output);
    });
  },
};
