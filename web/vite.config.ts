// How the pages are built: into dist/, as *.html and assets/*, for the service to embed.
import { defineConfig } from "vite";

export default defineConfig({
  build: {
    target: "es2022",
    // Everything comes from files of our own origin: the service allows nothing else.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // Swagger UI comes as one piece, and only to who opens /docs/.
    chunkSizeWarningLimit: 2000,
    rollupOptions: { input: ["index.html", "docs/index.html", "docs/errors.html", "imports/index.html"] },
  },
  server: {
    // `npm run dev` shows the pages beside a service that `make up` has started.
    proxy: Object.fromEntries(
      ["/tap.v1.", "/openapi.json", "/v1/"].map((path) => [path, process.env["TAP_URL"] ?? "http://localhost:3000"]),
    ),
  },
});
