// Runs before the first paint, so that the chosen theme does not appear only after the other one.
try {
  const theme = localStorage.getItem("crosslens-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; then the system's theme applies.
}
