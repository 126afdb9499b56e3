"use strict";

// Everything that is shown comes from the document of results.json, the pictures and the scales beside it.
const { document: results, crops, styles, dashes, similarities } = JSON.parse(
  document.getElementById("data").textContent,
);

const byId = (id) => document.getElementById(id);
const MEAN = null; // stands in the place of a source for all of them together
const DECIBELS = 100; // stands for no error at all
const TICKS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500]; // bits a pixel

const kinds = [...new Set(results.sources.map((source) => source.kind))];

// What is chosen: a kind and one of its sources, or the mean of all; and a measure.
const choice = { kind: kinds[0], source: MEAN, measure: Object.keys(results.bd_rates[kinds[0]])[0] };

function element(parent, tag, text = "", properties = {}) {
  const made = Object.assign(document.createElement(tag), { textContent: text }, properties);
  parent.append(made);
  return made;
}

function fillTable(table, header, rows) {
  table.replaceChildren();
  const head = element(element(table, "thead"), "tr");
  header.forEach((text) => element(head, "th", text));
  const body = element(table, "tbody");
  return rows.map((cells) => {
    const row = element(body, "tr");
    return cells.map((text) => element(row, "td", text));
  });
}

const codecsOfKind = () => results.codecs.filter((codec) => codec.kind === choice.kind);
const measuresOfKind = () => Object.keys(results.bd_rates[choice.kind]);

// Similarities are compared and drawn in dB, as in the BD-rates.
function onScale(measure, value) {
  if (!similarities.includes(measure)) return value;
  return value >= 1 ? DECIBELS : Math.min(DECIBELS, -10 * Math.log10(1 - value));
}

function pointsOf(codec) {
  if (choice.source !== MEAN) {
    return results.rows.filter((row) => row.source === choice.source && row.codec === codec.name);
  }
  const columns = Object.entries(results.results[codec.name]);
  const count = columns.length ? columns[0][1].length : 0;
  return Array.from({ length: count }, (_, i) => Object.fromEntries(columns.map(([name, list]) => [name, list[i]])));
}

// Pictures and clips, in words.
const many = (count, kind) => `${count} ${count === 1 ? kind.replace(/s$/, "") : kind}`;

const number = (value, digits = 4) => (value === undefined ? "" : String(Number(value.toPrecision(digits))));

function drawCurves() {
  const { measure } = choice;
  const traces = codecsOfKind().map((codec) => {
    const points = pointsOf(codec);
    const style = styles[choice.kind][codec.name];
    const count = results.sources.filter((source) => source.kind === choice.kind).length;
    const some = choice.source === MEAN && codec.sources < count;
    return {
      name: some ? `${codec.name} (${codec.sources} of ${count})` : codec.name,
      x: points.map((point) => point.bpp),
      y: points.map((point) => onScale(measure, point[measure])),
      customdata: points.map((point) => [number(point.quality), number(point[measure], 5), Math.round(point.bytes)]),
      mode: "lines+markers",
      line: { color: style.colour, dash: dashes[style.dash], width: style.ours ? 3 : 1.5 },
      marker: { symbol: style.marker },
      hovertemplate:
        "<b>%{fullData.name}</b><br>quality %{customdata[0]}<br>%{x:.4g} bits a pixel, %{customdata[2]} bytes<br>" +
        `${measure} %{customdata[1]}<extra></extra>`,
    };
  });
  const unit = similarities.includes(measure) ? `${measure}, dB: -10 log10(1 - x)` : `${measure}, dB`;
  const layout = {
    margin: { t: 20, r: 10 },
    xaxis: { title: { text: "bits a pixel" }, type: "log", tickvals: TICKS },
    yaxis: { title: { text: unit } },
    hovermode: "closest",
  };
  const buttons = [["toImage", "zoom2d", "pan2d", "resetScale2d"]];
  Plotly.react("curves", traces, layout, { responsive: true, displaylogo: false, modeBarButtons: buttons });
}

// A gain is green, a loss is orange; the stronger the larger, in octaves of the rate.
function shade(percent) {
  const octaves = Math.log2(1 + percent / 100);
  const strength = Math.min(1, Math.abs(octaves)) * 0.55;
  return octaves < 0 ? `rgba(0, 158, 115, ${strength})` : `rgba(230, 159, 0, ${strength})`;
}

function fillMatrix() {
  const { codecs, mean, sources } = results.bd_rates[choice.kind][choice.measure];
  const matrix = choice.source === MEAN ? mean : sources[choice.source];
  const doubts = results.doubts.filter(
    (doubt) =>
      doubt.kind === choice.kind &&
      doubt.measure === choice.measure &&
      (choice.source === MEAN || doubt.sources.includes(choice.source)),
  );
  const text = (rate) => (rate === null ? "" : (rate < 0 ? "\u2212" : "+") + Math.abs(rate).toFixed(1));
  const rows = codecs.map((name, i) => [name, ...matrix[i].map((rate, j) => (i === j ? "" : text(rate)))]);
  const cells = fillTable(byId("matrix"), ["", ...codecs], rows);
  codecs.forEach((test, i) =>
    codecs.forEach((anchor, j) => {
      const cell = cells[i][j + 1];
      if (matrix[i][j] !== null && i !== j) cell.style.background = shade(matrix[i][j]);
      const reasons = doubts.filter((doubt) => doubt.test === test && doubt.anchor === anchor);
      if (reasons.length) {
        cell.className = "doubtful";
        cell.title = reasons.map((doubt) => `${doubt.reason} (${doubt.sources.join(", ")})`).join("\n");
      }
    }),
  );
  document.querySelectorAll(".measure").forEach((place) => (place.textContent = choice.measure));
}

function fillPoints() {
  const measures = measuresOfKind();
  const header = ["codec", "quality", "bytes", "bits a pixel", ...measures, "encoding", "decoding"];
  const rows = codecsOfKind().flatMap((codec) =>
    pointsOf(codec).map((point) => [
      codec.name,
      number(point.quality),
      Math.round(point.bytes).toLocaleString("en"),
      number(point.bpp),
      ...measures.map((measure) => number(point[measure], 5)),
      number(point.encoding_time, 3),
      number(point.decoding_time, 3),
    ]),
  );
  fillTable(byId("points"), header, rows);
}

function showCrops() {
  const place = byId("crops");
  place.replaceChildren();
  const withCrops = Object.keys(crops).filter((name) => results.sources.some((s) => s.name === name && s.kind === choice.kind));
  const shown = choice.source === MEAN ? withCrops[0] : choice.source;
  const own = crops[shown];
  const middle = "The middle of the picture at its own size, twice enlarged";
  byId("crops-note").textContent = own
    ? `${shown}: ${middle}, at ${number(own.bpp, 3)} bits a pixel. Hover over a picture to see the original in its place.`
    : `Pictures were made of ${withCrops.join(", ") || "no source"}: choose one above.`;
  if (!own) return;
  const show = (picture, caption) => {
    const figure = element(place, "figure");
    figure.style.width = `${2 * own.width}px`;
    const image = element(figure, "img", "", { src: picture, alt: caption, width: 2 * own.width, height: 2 * own.height });
    image.onmouseenter = () => (image.src = own.original);
    image.onmouseleave = () => (image.src = picture);
    element(figure, "figcaption", caption);
  };
  show(own.original, "original");
  codecsOfKind().forEach(({ name }) => {
    const made = own.pictures[name];
    if (made) show(made.picture, `${name}: ${number(made.bpp, 3)} bits a pixel, ${made.caption}`);
  });
}

function showRemarks() {
  const list = element(byId("remarks"), "ul");
  const doubts = results.doubts.map(
    (doubt) => `${doubt.test} against ${doubt.anchor} by ${doubt.measure}: ${doubt.reason} (${doubt.sources.join(", ")})`,
  );
  results.left_out.forEach((line) => element(list, "li", `left out: ${line}`));
  results.failures.forEach((line) => element(list, "li", `failed: ${line}`));
  results.notes.forEach((line) => element(list, "li", line));
  if (doubts.length) {
    const details = element(element(list, "li"), "details");
    element(details, "summary", `${doubts.length} BD-rates are doubtful`);
    const inner = element(details, "ul");
    doubts.forEach((line) => element(inner, "li", line));
  }
  if (!list.children.length) element(list, "li", "nothing");
}

function showOrigin() {
  const counts = kinds.map((kind) => many(results.sources.filter((source) => source.kind === kind).length, kind));
  byId("summary").textContent = `${counts.join(" and ")}, ${results.codecs.length} codecs, ${results.rows.length} points. ${results.description}.`;
  byId("command").textContent = results.command;
  const versions = [...Object.entries(results.environment), ...results.codecs.map((codec) => [codec.name, codec.description])];
  fillTable(byId("versions"), ["", "version"], versions);
}

function offerMeasures() {
  const select = byId("measure");
  const measures = measuresOfKind();
  if (!measures.includes(choice.measure)) choice.measure = measures[0];
  select.replaceChildren();
  measures.forEach((measure) => element(select, "option", measure, { value: measure, selected: measure === choice.measure }));
}

function offerSources() {
  const select = byId("source");
  kinds.forEach((kind) => {
    const own = results.sources.filter((source) => source.kind === kind);
    const group = element(select, "optgroup", "", { label: kind });
    [{ name: MEAN }, ...own].forEach(({ name }) => {
      const text = name === MEAN ? `mean of ${many(own.length, kind)}` : name;
      element(group, "option", text, { value: JSON.stringify([kind, name]) });
    });
  });
}

function showChoice() {
  drawCurves();
  fillMatrix();
  showCrops();
  fillPoints();
}

offerSources();
offerMeasures();
byId("source").onchange = (event) => {
  [choice.kind, choice.source] = JSON.parse(event.target.value);
  offerMeasures();
  showChoice();
};
byId("measure").onchange = (event) => {
  choice.measure = event.target.value;
  showChoice();
};
showOrigin();
showRemarks();
showChoice();
