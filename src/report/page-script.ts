/**
 * Draws the charts: every figure names the JSON of its specification. Drawn as SVG, so that the page's colour
 * variables apply inside and a change of theme needs no second drawing.
 */
export const pageScript = `
for (const figure of document.querySelectorAll('figure[data-chart]')) {
  const plot = figure.querySelector('.plot');
  Promise.resolve()
    .then(() => {
      const spec = JSON.parse(document.getElementById(figure.dataset.chart).textContent);
      const runtime = vega.parse(vegaLite.compile(spec).spec);
      return new vega.View(runtime, { renderer: 'svg', container: plot, hover: true }).runAsync();
    })
    .then(() => { figure.dataset.drawn = 'true'; })
    .catch((error) => {
      plot.textContent = 'This chart could not be drawn: ' + error.message;
      console.error(error);
    });
}
`;
