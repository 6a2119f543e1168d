// Draws faces with the avatar style "Pixel Art" of DiceBear (CC0 1.0), no two of them alike:
//
//     node faces.mjs COUNT FOLDER
//
// writes FOLDER/pixels, COUNT x 16 x 16 x 4 bytes (RGBA, opaque), and FOLDER/attributes.json, a list of objects.
import fs from "node:fs";
import { createAvatar } from "@dicebear/core";
import * as style from "@dicebear/pixel-art";
import { Resvg } from "@resvg/resvg-js";

const SIZE = 16;
// The style has three browns that look alike in 16x16 pixels, and blonds that look like skin.
const HAIR_COLORS = { black: "28150a", brown: "603015", blond: "f0c84b", red: "bd1700", green: "91cb15", blue: "009bbd" };
const SKINS = style.schema.properties.skinColor.default; // from light to dark
const OPTIONS = {
  glassesProbability: 50,
  beardProbability: 25,
  accessoriesProbability: 0, // earrings vanish under long hair
  hatProbability: 0, // hats hide the hair
  hairColor: Object.values(HAIR_COLORS),
  backgroundColor: ["ffffff"],
};

function describe({ hair, hairColor, skinColor, glasses, beard, mouth }) {
  return {
    hair_color: Object.keys(HAIR_COLORS).find((name) => `#${HAIR_COLORS[name]}` === hairColor),
    hair: hair.startsWith("long") ? "long" : "short",
    glasses: glasses === undefined ? "none" : glasses.startsWith("dark") ? "dark" : "clear",
    beard: beard === undefined ? "no" : "yes",
    mouth: mouth.startsWith("happy") ? "happy" : "sad",
    skin: `${SKINS.findIndex((color) => `#${color}` === skinColor) + 1}`,
  };
}

function draw(seed) {
  const { svg, extra } = createAvatar(style, { seed, ...OPTIONS }).toJson();
  const image = new Resvg(svg, { fitTo: { mode: "width", value: SIZE }, font: { loadSystemFonts: false } }).render();
  return { pixels: image.pixels, attributes: describe(extra) };
}

const [count, folder] = process.argv.slice(2);
const faces = new Map(); // by their pixels
for (let seed = 0; faces.size < Number(count); seed++) {
  const { pixels, attributes } = draw(`face ${seed}`);
  const key = pixels.toString("latin1");
  if (!faces.has(key)) faces.set(key, { pixels, attributes });
}
const all = [...faces.values()];
fs.writeFileSync(`${folder}/pixels`, Buffer.concat(all.map((face) => face.pixels)));
fs.writeFileSync(`${folder}/attributes.json`, JSON.stringify(all.map((face) => face.attributes)));
