// Let the search work in pages that are opened from the disk. Browsers refuse a Worker whose script is a file,
// so an invisible frame runs the script instead. The theme takes this from another host unless the site has one.
if (location.protocol === "file:") {
  class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      this.scope = new Promise((resolve) => {
        frame.onload = () => {
          const scope = frame.contentWindow;
          const script = scope.document.createElement("script");
          scope.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
          script.onload = () => resolve(scope);
          script.src = url;
          scope.document.body.append(script);
        };
      });
      document.body.append(frame);
    }

    async postMessage(data) {
      const scope = await this.scope;
      scope.dispatchEvent(new scope.MessageEvent("message", { data }));
    }

    terminate() {}
  }
  window.Worker = IFrameWorker;
}
