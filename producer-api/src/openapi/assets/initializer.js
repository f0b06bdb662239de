// Starts Swagger UI, and has it keep the access token of a login that is tried out on the page, until it is reloaded.
"use strict";

const SCHEME = "accessToken";
const LOGINS = ["/api/login/", "/api/token/"];

function keepToken(answer) {
  const url = new URL(answer.url, location.href);
  const access = answer.ok && url.origin === location.origin && LOGINS.includes(url.pathname) && answer.body?.access;
  if (access) {
    const schemes = ui.getSystem().specSelectors.specJson().toJS().components.securitySchemes;
    ui.preauthorizeApiKey(SCHEME, schemes[SCHEME]["x-token-prefix"] + access);
  }
  return answer;
}

// By day and by night, as the device wants it: Swagger UI has the colours, and asks nobody.
const night = matchMedia("(prefers-color-scheme: dark)");
const colour = () => document.documentElement.classList.toggle("dark-mode", night.matches);
night.addEventListener("change", colour);
colour();

const ui = SwaggerUIBundle({
  url: "/api/schema/",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  filter: true,
  persistAuthorization: false,
  presets: [SwaggerUIBundle.presets.apis],
  responseInterceptor: keepToken,
  tryItOutEnabled: true,
  validatorUrl: null,
});
