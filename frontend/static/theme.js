// Before the first paint, so that a chosen theme does not flash in after the other one.
try {
  const theme = localStorage.getItem("crosslens-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; the system's theme is then as good as any.
}
