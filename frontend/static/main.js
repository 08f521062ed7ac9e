// Starts the application. This is a file, because the page's content-security policy forbids inline scripts.
// Addresses are relative to this file, because the application may live under any path. The import is
// dynamic, so that a file that fails to load is caught below.
try {
  const { default: init } = await import("./frontend.js");
  await init({ module_or_path: new URL("frontend_bg.wasm", import.meta.url) });
} catch (error) {
  console.error(error);
  window.crosslensFailed?.(error);
}
