// How the page is built: into dist/, as index.html and assets/*, for the service to embed.
import { defineConfig } from "vite";

export default defineConfig({
  build: {
    target: "es2022",
    // Everything comes from files of our own origin: the service allows nothing else.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    // `npm run dev` shows the page beside a service that `make up` has started.
    proxy: { "/tap.v1.": process.env["TAP_URL"] ?? "http://localhost:3000" },
  },
});
