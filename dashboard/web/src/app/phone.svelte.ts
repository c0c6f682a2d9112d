const narrow = window.matchMedia("(max-width: 720px)");
let is = $state(narrow.matches);
narrow.addEventListener("change", ({ matches }) => {
  is = matches;
});

/** phone is current on a narrow screen: there the chat is a screen of its own, not a panel beside one. */
export const phone = {
  get current(): boolean {
    return is;
  },
};
