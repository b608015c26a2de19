// A page that is opened from the disk may start no worker: a hidden frame stands in for that of the search.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const waiting = []
      this.postMessage = (data) => waiting.push(data)
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.addEventListener("load", () => {
        const inner = frame.contentWindow
        inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
        inner.importScripts = () => {} // other languages than English
        const script = inner.document.createElement("script")
        script.src = url
        script.addEventListener("load", () => {
          this.postMessage = (data) => inner.dispatchEvent(new MessageEvent("message", { data }))
          waiting.forEach(this.postMessage)
        })
        inner.document.body.append(script)
      })
      document.body.append(frame)
    }

    terminate() {}
  }
}
