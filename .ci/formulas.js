// What arithmatex marked, \(a line's\) and \[a block's\] formulas, is drawn by KaTeX.
for (const formula of document.querySelectorAll(".arithmatex")) {
  const text = formula.textContent.trim();
  katex.render(text.slice(2, -2), formula, { displayMode: text.startsWith("\\["), throwOnError: false });
}
