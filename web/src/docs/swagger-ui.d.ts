// The part of Swagger UI that is used here; its package brings no types.
declare module "swagger-ui-dist/swagger-ui-es-bundle.js" {
  interface Options {
    url: string;
    domNode: Element | null;
    presets: unknown[];
    plugins: unknown[];
    [option: string]: unknown;
  }
  const SwaggerUI: { (options: Options): unknown; presets: { apis: unknown } };
  export default SwaggerUI;
}
