// The API, to read and to try: Swagger UI over /openapi.json, from this origin alone.
import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "./docs.css";

// What Swagger UI holds its data in: maps whose values are found by a path of names.
interface Found {
  getIn(path: string[]): unknown;
}
type Selector = (state: Found, path: string, method: string) => boolean;

// A stream does not end, and "try it" would wait for its end: there curl is the way.
const streamsAreNotTried = () => ({
  statePlugins: {
    spec: {
      wrapSelectors: {
        allowTryItOutFor: (original: Selector) => (state: Found, path: string, method: string) => {
          const answer = ["json", "paths", path, method, "responses", "200", "content", "text/event-stream"];
          return state.getIn(answer) === undefined && original(state, path, method);
        },
      },
    },
  },
});

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

SwaggerUI({
  url: "/openapi.json",
  domNode: document.getElementById("api"),
  presets: [SwaggerUI.presets.apis],
  plugins: [streamsAreNotTried],
  layout: "BaseLayout",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  docExpansion: "list",
  // A key is forgotten with the page, and nothing is read from the address or sent elsewhere.
  persistAuthorization: false,
  queryConfigEnabled: false,
  tryItOutEnabled: true,
  validatorUrl: null,
  withCredentials: false,
});
