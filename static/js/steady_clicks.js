/* A click does what the person aimed at, or nothing. Classic script, loaded in <head>, so that the first paint is guarded too.
 *
 * Controls that act carry `data-steady` (its value, if any, names what the control would act on). A click on one of them is
 * swallowed, with a note beside it, when within the last 700 ms something changed under the pointer: the control moved to the
 * pointer's place, appeared, was replaced, now acts on something else, or came from under a thing that went away. A person's own
 * scrolling is not such a change, and a control that stood under that point all the time may grow or shrink. A key press is
 * swallowed only when a script, not the person, moved the focus to the control, or the control changed its meaning.
 *
 * Nothing is measured while nothing changes: observers mark, and the next frame measures once.
 */
(() => {
  const STEADY_MS = 700;
  const NEAR_PX = 24; // a finger does not hit the same pixel twice
  const GESTURE_MS = 1000; // the first scroll event follows a turn of the wheel at the latest by this
  const MOMENTUM_MS = 150; // and the next ones each other
  const TOUCHING = ["touchmove", "touchend"];
  const SCROLL_KEYS = new Set([" ", "PageUp", "PageDown", "Home", "End", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]);
  const WATCHED = ["class", "style", "hidden", "open", "disabled", "href", "action", "formaction", "value", "data-steady"];

  const histories = new Map(); // control -> its states of the last 700 ms and the one before, oldest first
  const scrolled = new Map(); // scroller -> {left, top}: how far the person has scrolled it, px
  const offsets = new WeakMap(); // scroller -> {left, top}: where it stood last, px
  const pointer = { x: -1, y: -1, control: null, changedAt: -Infinity }; // what a resting mouse is over
  let dirty = true;
  let frame = 0;
  let gestureAt = -Infinity;
  let ownScrollAt = -Infinity;
  let pressed = null; // the pointer that is down: {control, meaning, steady}
  let tapped = null; // the touch before: {x, y, control, at}
  let focus = { control: null, at: -Infinity, byScript: false };
  let personMovedFocusAt = -Infinity;

  const now = () => performance.now();
  const controlOf = (target) => (target instanceof Element ? target.closest("[data-steady]") : null);

  /* What pressing it would do: another address or another thing is another control in the same place. */
  function meaning(control) {
    const form = control.form ?? null;
    return [control.dataset.steady, control.getAttribute("href"), control.getAttribute("formaction") ?? form?.getAttribute("action"), control.value].join("|");
  }

  /* How far the person has scrolled what the control stands in: subtracted, their own scrolling moves nothing. */
  function credit(control) {
    const sum = { left: 0, top: 0 };
    for (const [scroller, by] of scrolled) {
      if (scroller !== document && !scroller.contains(control)) continue;
      sum.left += by.left;
      sum.top += by.top;
    }
    return sum;
  }

  function look(control) {
    const { left, top, width, height } = control.getBoundingClientRect();
    return { at: now(), left, top, width, height, credit: credit(control), meaning: meaning(control) };
  }

  function sameState(a, b) {
    const close = (one, other) => Math.abs(one - other) < 0.5;
    const stands = close(a.left, b.left) && close(a.top, b.top);
    const scrolledAlong = close(a.left + a.credit.left, b.left + b.credit.left) && close(a.top + a.credit.top, b.top + b.credit.top);
    return (stands || scrolledAlong) && close(a.width, b.width) && close(a.height, b.height) && a.meaning === b.meaning;
  }

  function measure() {
    cancelAnimationFrame(frame);
    frame = 0;
    dirty = false;
    const controls = document.querySelectorAll("[data-steady]");
    for (const scroller of scrolled.keys()) if (!scroller.isConnected) scrolled.delete(scroller);
    for (const control of controls) note(control);
    if (histories.size > controls.length) for (const control of histories.keys()) if (!control.isConnected || control.dataset.steady === undefined) histories.delete(control);
    if (pointer.x >= 0) notePointer();
  }

  function note(control) {
    const state = look(control);
    const history = histories.get(control);
    if (!history) { histories.set(control, [state]); return; }
    if (sameState(history.at(-1), state)) return;
    history.push(state);
    while (history.length > 2 && state.at - history[1].at > STEADY_MS) history.shift();
  }

  function notePointer() {
    const control = controlOf(document.elementFromPoint(pointer.x, pointer.y));
    if (control !== pointer.control) Object.assign(pointer, { control, changedAt: now() });
  }

  function mark() {
    if (dirty) return;
    dirty = true;
    frame = requestAnimationFrame(measure);
  }

  /* Whether every state of the last 700 ms had this control, with this meaning, under the point. */
  function stoodAt(control, x, y) {
    const history = histories.get(control);
    const newest = history?.at(-1);
    const since = now() - STEADY_MS;
    if (!newest || history[0].at > since) return false; // appeared or was replaced
    const by = credit(control);
    const covers = (state, shiftX, shiftY) => x >= state.left - shiftX && x <= state.left - shiftX + state.width && y >= state.top - shiftY && y <= state.top - shiftY + state.height;
    return history.every((state, index) => {
      const isOver = index + 1 < history.length && history[index + 1].at <= since;
      if (isOver) return true;
      return state.meaning === newest.meaning && (covers(state, 0, 0) || covers(state, by.left - state.credit.left, by.top - state.credit.top));
    });
  }

  function isSteady(control, event) {
    measure();
    if (!stoodAt(control, event.clientX, event.clientY)) return false;
    if (event.pointerType !== "touch" && pointer.control === control && now() - pointer.changedAt < STEADY_MS) return false;
    const before = event.pointerType === "touch" ? tapped : null;
    return !(before && now() - before.at < STEADY_MS && before.control !== control && Math.hypot(before.x - event.clientX, before.y - event.clientY) < NEAR_PX);
  }

  /* --- clicks --------------------------------------------------------------------------------------------------- */

  addEventListener("pointerdown", (event) => {
    personMovedFocusAt = now();
    const control = controlOf(event.target);
    pressed = control && { control, steady: isSteady(control, event), meaning: meaning(control) };
    if (event.pointerType === "touch") tapped = { x: event.clientX, y: event.clientY, control, at: now() };
    const { clientWidth, clientHeight } = document.documentElement;
    if (event.clientX >= clientWidth || event.clientY >= clientHeight || (event.target instanceof Element && onScrollbar(event))) gestureAt = Infinity;
  }, true);
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { if (gestureAt === Infinity) gestureAt = now(); }, true);

  const onScrollbar = (event) => event.offsetX > event.target.clientWidth && event.target.scrollHeight > event.target.clientHeight && event.target.clientWidth > 0;

  addEventListener("click", (event) => {
    const control = controlOf(event.target);
    if (!control || !event.isTrusted) return;
    const isPointer = event.detail > 0 || event.pointerType === "mouse" || event.pointerType === "touch" || event.pointerType === "pen";
    if (isPointer ? pointerMeant(control, event) : keyMeant(control)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    say(control);
  }, true);

  function pointerMeant(control, event) {
    const press = pressed;
    pressed = null;
    if (press?.control !== control) return isSteady(control, event); // the click of a press elsewhere, or of no press we saw
    return press.steady && press.meaning === meaning(control);
  }

  function keyMeant(control) {
    measure();
    const history = histories.get(control) ?? [];
    const fresh = history.filter((state) => now() - state.at < STEADY_MS);
    if (fresh.some((state) => state.meaning !== history[0].meaning)) return false;
    return !(focus.control === control && focus.byScript && now() - focus.at < STEADY_MS);
  }

  addEventListener("focusin", (event) => {
    focus = { control: controlOf(event.target), at: now(), byScript: now() - personMovedFocusAt > 50 };
  }, true);

  /* --- the pointer, and the person's own scrolling ---------------------------------------------------------------- */

  addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch" || (event.clientX === pointer.x && event.clientY === pointer.y)) return;
    if (dirty && pointer.x >= 0) measure(); // what changed before the hand moved is not the hand's
    const control = controlOf(event.target);
    const travelled = Math.hypot(event.clientX - pointer.x, event.clientY - pointer.y) > NEAR_PX;
    if (control !== pointer.control || travelled) pointer.changedAt = -Infinity;
    Object.assign(pointer, { x: event.clientX, y: event.clientY, control });
  }, { capture: true, passive: true });
  addEventListener("pointerover", (event) => { if (controlOf(event.target)) mark(); }, { capture: true, passive: true });
  document.documentElement.addEventListener("pointerleave", () => Object.assign(pointer, { x: -1, y: -1, control: null, changedAt: -Infinity }));

  for (const name of ["wheel", ...TOUCHING]) addEventListener(name, () => { gestureAt = now(); }, { capture: true, passive: true });
  addEventListener("keydown", (event) => {
    if (event.key === "Tab") personMovedFocusAt = now();
    if (SCROLL_KEYS.has(event.key)) gestureAt = now();
  }, true);

  addEventListener("scroll", (event) => {
    const scroller = event.target;
    const box = scroller === document ? document.scrollingElement : scroller;
    const before = offsets.get(scroller) ?? { left: 0, top: 0 };
    const after = { left: box.scrollLeft, top: box.scrollTop };
    offsets.set(scroller, after);
    if (!(gestureAt === Infinity || now() - gestureAt < GESTURE_MS || now() - ownScrollAt < MOMENTUM_MS)) { mark(); return; }
    ownScrollAt = now();
    if (!dirty && pointer.x >= 0) pointer.control = controlOf(document.elementFromPoint(pointer.x, pointer.y));
    const sum = scrolled.get(scroller) ?? { left: 0, top: 0 };
    scrolled.set(scroller, { left: sum.left + after.left - before.left, top: sum.top + after.top - before.top });
  }, { capture: true, passive: true });

  /* --- saying so ------------------------------------------------------------------------------------------------ */

  const SAID = "Not done: this moved or changed as you clicked. Look, then click again.";
  let bubble;

  /* In the top layer, above dialogs and toasts alike; it takes no room and no clicks. */
  function say(control) {
    if (!bubble) {
      bubble = document.createElement("div");
      Object.assign(bubble, { className: "steady-note", popover: "manual" });
      bubble.setAttribute("role", "status");
    }
    const dialog = control.closest("dialog[open]") ?? document.body;
    if (bubble.parentElement !== dialog) dialog.append(bubble); // outside an open dialog everything is inert, also to a screen reader
    if (bubble.matches(":popover-open")) bubble.hidePopover();
    bubble.textContent = "";
    bubble.showPopover();
    bubble.textContent = SAID;
    const { left, top, bottom } = control.getBoundingClientRect();
    const room = bubble.getBoundingClientRect();
    bubble.style.left = `${Math.max(8, Math.min(left, innerWidth - room.width - 8))}px`;
    bubble.style.top = `${top > room.height + 12 ? top - room.height - 8 : bottom + 8}px`;
    clearTimeout(bubble.dataset.timer);
    bubble.dataset.timer = String(setTimeout(() => bubble.hidePopover(), 4000));
  }

  /* --- what marks ------------------------------------------------------------------------------------------------ */

  new MutationObserver(mark).observe(document.documentElement, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: WATCHED });
  for (const name of ["resize", "toggle", "transitionend", "animationend", "load"]) addEventListener(name, mark, true);
  document.fonts?.addEventListener("loadingdone", mark);
  if (PerformanceObserver.supportedEntryTypes?.includes("layout-shift")) new PerformanceObserver(mark).observe({ type: "layout-shift" });
  addEventListener("DOMContentLoaded", () => { offsets.set(document, { left: scrollX, top: scrollY }); measure(); });
  addEventListener("pageshow", (event) => { if (event.persisted) { histories.clear(); mark(); } });

  /* True when a click in the middle of the control would count now: for a script that presses for the person, and for tests. */
  window.deskSteady = (control) => {
    measure();
    const { left, top, width, height } = control.getBoundingClientRect();
    return width > 0 && stoodAt(control, left + width / 2, top + height / 2) && now() - pointer.changedAt >= STEADY_MS;
  };
})();
