// Starts the application. The page's content-security policy forbids inline scripts, so this is a file. Addresses are relative to it: the
// application may live under any path. Imported here and not above, so that a file that does not come is caught as well.
try {
  const { default: init } = await import("./frontend.js");
  await init({ module_or_path: new URL("frontend_bg.wasm", import.meta.url) });
} catch (error) {
  console.error(error);
  window.crosslensFailed?.(error);
}
