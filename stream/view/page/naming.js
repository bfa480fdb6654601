// Giving somebody a name: a small dialog, from the number in the list or in the picture.

import { say } from "./connection.js";
import { byId, toast } from "./dom.js";
import { names, on } from "./session.js";

const dialog = byId("naming");
const input = byId("naming-name");
const refused = byId("naming-refused");
let who = null;

export function nameSomebody(camera, track, letter) {
  who = { camera, track, letter };
  byId("naming-title").textContent = `Name person ${letter}`;
  input.value = names.get(track) ?? "";
  refused.hidden = true;
  dialog.showModal();
  input.select();
}

dialog.querySelector("form").onsubmit = (event) => {
  event.preventDefault(); // it closes when the name holds
  who.wanted = input.value.split(/\s+/).filter(Boolean).join(" ");
  refused.hidden = true;
  if (who.wanted === (names.get(who.track) ?? "")) dialog.close();
  else say({ do: "name", camera: who.camera, track: who.track, name: who.wanted });
};

byId("naming-cancel").onclick = () => dialog.close();

on("state", ({ camera, names: given }) => {
  if (!dialog.open || who?.wanted === undefined || camera !== who.camera) return;
  if ((given[who.track] ?? "") === who.wanted) dialog.close();
});

dialog.onclose = () => (who = null);

on("refused", ({ line }) => {
  if (!dialog.open) return toast(line);
  refused.textContent = line;
  refused.hidden = false;
});

