// What all views need of the document. Text goes in as text, never as markup.

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; a child is an element or a text. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Sets a text only where it differs, so that nothing is announced or selected anew. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Shows a text, or hides the element if there is none. */
export function show(node, text) {
  setText(node, text ?? '');
  node.hidden = !text;
}

/** Says at a field what is wrong with it; without a text that nothing is. */
export function mark(input, fault) {
  show(byId(`${input.id}-fault`), fault);
  if (fault) input.setAttribute('aria-invalid', 'true');
  else input.removeAttribute('aria-invalid');
}

/** While work is done, its button can't be pressed again; it stays focusable, so that nobody loses their place. */
export async function busy(button, work) {
  if (button.getAttribute('aria-disabled') === 'true') return undefined;
  button.setAttribute('aria-disabled', 'true');
  button.classList.add('busy');
  try {
    return await work();
  } finally {
    button.removeAttribute('aria-disabled');
    button.classList.remove('busy');
  }
}
