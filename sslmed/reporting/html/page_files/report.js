"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);

// Two drop-downs: the amounts of labels on offer are those of the chosen arm.
function pick(name, cells, show) {
  const arms = find(`${name}-arm`), amounts = find(`${name}-labels`);
  const offer = () => {
    const chosen = amounts.value;
    const there = data.amounts.filter((amount) => amount in cells[arms.value]);
    amounts.replaceChildren(...there.map((amount) => new Option(amount, amount)));
    amounts.value = there.includes(chosen) ? chosen : there.at(-1);
    show();
  };
  arms.addEventListener("change", offer);
  amounts.addEventListener("change", show);
  find(`${name}-controls`).addEventListener("submit", (event) => event.preventDefault());
  offer();
}

if (data.viewer) {
  const { cells, texts, classes } = data.viewer;
  const slider = find("viewer-slice");

  const paths = (positions, role) => positions.map((position, index) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", texts[position]);
    if (role) path.setAttribute("fill", `url(#${role}-${index})`);
    else path.setAttribute("class", `c${index % 5} d${index % 5}`);
    return path;
  });

  const show = () => {
    const examples = cells[find("viewer-arm").value][find("viewer-labels").value];
    const most = Math.max(...Object.values(examples).map((example) => example.slices.length)) - 1;
    slider.max = most;
    find("viewer-position").textContent = `${Number(slider.value) + 1} of ${most + 1}`;
    for (const figure of document.querySelectorAll("[data-role]")) {
      const { role } = figure.dataset;
      figure.hidden = !examples[role];  // of two cases, none is between them
      if (figure.hidden) continue;
      const { case: name, dice, depth, size: [width, height], slices } = examples[role];
      const slice = slices[most ? Math.round(slider.value / most * (slices.length - 1)) : 0];
      const place = depth > 1 ? `, slice ${slice.position} of ${depth}` : "";
      const svg = figure.querySelector("svg"), image = svg.querySelector("image");
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      image.setAttribute("width", width);
      image.setAttribute("height", height);
      image.setAttribute("href", texts[slice.image]);
      // Hatching is as fine on a small grid as on a large one.
      for (const pattern of svg.querySelectorAll("pattern")) pattern.setAttribute("patternTransform", `scale(${width / 280})`);
      const truth = find("viewer-truth").checked ? paths(slice.truth, role) : [];
      svg.querySelector(".truth").replaceChildren(...truth);
      for (const group of svg.querySelectorAll(".prediction")) {
        group.replaceChildren(...(find("viewer-prediction").checked ? paths(slice.prediction) : []));
      }
      const caption = figure.querySelector("figcaption"), strong = document.createElement("strong");
      strong.textContent = role;
      caption.replaceChildren(strong, `: Dice ${dice.toFixed(3)}, case ${name}${place}`);
      svg.setAttribute("aria-label", `${role} test case ${name}${place}: ` +
        `truth ${inside(slice.truth)}; prediction ${inside(slice.prediction)}`);
    }
  };
  const inside = (positions) =>
    positions.map((position, index) => texts[position] && classes[index]).filter(Boolean).join(", ") || "nothing";

  for (const id of ["viewer-slice", "viewer-truth", "viewer-prediction"]) find(id).addEventListener("input", show);
  pick("viewer", cells, show);
  slider.value = Math.floor(slider.max / 2);
  show();
}

if (data.confusion) {
  const { cells, classes } = data.confusion;
  const table = find("confusion");
  const cell = (tag, text, attributes = {}) => {
    const element = Object.assign(document.createElement(tag), { textContent: text });
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const row = (...children) => {
    const element = document.createElement("tr");
    element.append(...children);
    return element;
  };
  pick("confusion", cells, () => {
    const arm = find("confusion-arm").value, amount = find("confusion-labels").value;
    find("confusion-caption").textContent = `${arm} trained with ${amount}: true class in rows, predicted class in columns`;
    table.tHead.replaceChildren(row(cell("th", "truth ↓ prediction →", { scope: "col" }),
      ...classes.map((name) => cell("th", name, { scope: "col" }))));
    table.tBodies[0].replaceChildren(...cells[arm][amount].map((counts, truth) => {
      const total = counts.reduce((sum, count) => sum + count, 0);
      const tds = counts.map((count, answer) => {
        const share = total ? count / total : 0;
        const td = cell("td", total ? `${Math.round(100 * share)} %` : "–", { style: `--share: ${share}` });
        td.append(cell("small", `${count} of ${total}`));
        td.classList.toggle("right", answer === truth);
        return td;
      });
      return row(cell("th", classes[truth], { scope: "row" }), ...tds);
    }));
  });
}

// Paper shows what is folded on a screen.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));

// Tables that are wider than the window say so, and fade where there is more to the right.
for (const area of document.querySelectorAll(".scroll")) {
  const mark = () => {
    const rest = area.scrollWidth - area.clientWidth;
    area.classList.toggle("clipped", rest > 1);
    area.classList.toggle("more", rest - area.scrollLeft > 1);
  };
  const resized = new ResizeObserver(mark);
  resized.observe(area);
  resized.observe(area.firstElementChild);
  area.addEventListener("scroll", mark);
}
