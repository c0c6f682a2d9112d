import { formatDateTime, formatUTC } from "../core/format";
import { type Look, paint } from "./paint";
import type { PlotData } from "./plot";

/** A picture has so many times the pixels that the chart has on the screen. */
const sharp = 2;
const margin = 16;
const head = 44;
const foot = 28;

/** savePNG hands the person a picture of a chart with its title, its lines' names and the time that it shows. */
export function savePNG(title: string, unit: string, data: PlotData, look: Omit<Look, "headroom">): void {
  const { width, height, color } = look;
  const picture = document.createElement("canvas");
  const pixels = sharp * devicePixelRatio;
  picture.width = (width + 2 * margin) * pixels;
  picture.height = (height + head + foot) * pixels;
  const to = picture.getContext("2d");
  if (to === null) return;
  to.scale(pixels, pixels);
  to.fillStyle = color("--surface");
  to.fillRect(0, 0, picture.width, picture.height);
  to.save();
  to.translate(margin, head);
  paint(to, data, { ...look, headroom: false });
  to.restore();
  to.textBaseline = "middle";
  to.fillStyle = color("--text");
  to.font = "600 14px system-ui, sans-serif";
  const heading = named(title, data.lines.some(({ right }) => right) ? "" : unit);
  to.fillText(heading, margin, head / 2, width);
  const free = margin + to.measureText(heading).width + 24;
  to.font = "11px system-ui, sans-serif";
  let right = width + margin;
  for (const line of data.lines.length > 1 ? [...data.lines].reverse() : []) {
    const name = named(line.name, line.unit ?? "");
    right -= to.measureText(name).width;
    if (right < free) break;
    to.fillStyle = color(line.color);
    to.fillText(name, right, head / 2);
    right -= 12;
  }
  to.fillStyle = color("--muted");
  to.fillText(`${formatDateTime(data.from)} – ${formatDateTime(data.to)}`, margin, head + height + foot / 2);
  const name = "Pulso";
  to.fillText(name, width + margin - to.measureText(name).width, head + height + foot / 2);
  picture.toBlob((blob) => blob && hand(blob, fileName(title, data, "png")), "image/png");
}

/** saveCSV hands the person what a chart shows, with exact values; times are UTC as RFC 3339 has them. */
export function saveCSV(title: string, unit: string, data: PlotData): void {
  hand(new Blob([csvOf(unit, data)], { type: "text/csv" }), fileName(title, data, "csv"));
}

/** csvOf is the points in the range that is shown, a line each (RFC 4180); what was not measured is empty. */
export function csvOf(unit: string, { times, lines, from, to }: PlotData): string {
  const columns = lines.flatMap(({ name, values, min, max, unit: own = unit }) => [
    { name: cell(named(name, own)), values },
    ...(min === undefined || max === undefined
      ? []
      : [
          { name: cell(named(`${name} min`, own)), values: min },
          { name: cell(named(`${name} max`, own)), values: max },
        ]),
  ]);
  const rows = [["time", ...columns.map(({ name }) => name)]];
  for (let i = 0; i < times.length; i++) {
    if (times[i] < from || times[i] > to) continue;
    const values = columns.map(({ values }) => (Number.isFinite(values[i]) ? String(values[i]) : ""));
    rows.push([new Date(times[i]).toISOString(), ...values]);
  }
  return rows.map((row) => `${row.join(",")}\r\n`).join("");
}

function named(name: string, unit: string): string {
  return unit === "" ? name : `${name} (${unit})`;
}

/** cell is a text in quotes; one that a spreadsheet would take for a formula begins with an apostrophe. */
function cell(text: string): string {
  const safe = /^\s*[=+\-@]/.test(text) ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
}

function fileName(title: string, { to }: PlotData, extension: string): string {
  const words = `${title} ${formatUTC(to)}`.replace(/[^\p{L}\d]+/gu, "-").replace(/^-|-$/g, "");
  return `${words.slice(0, 120)}.${extension}`;
}

function hand(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
