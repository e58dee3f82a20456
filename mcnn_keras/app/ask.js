// Requests to the server, whose errors are told in words.

export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The program does not answer; it may have been ended. Start it again.");
  }
  if (answer.status === 204) return null;
  let told = {};
  try { told = await answer.json(); } catch { /* not from the page's own routes */ }
  if (!answer.ok) throw new Error(told.error || `The program refuses this (${answer.status}).`);
  return told;
}

// With XMLHttpRequest, which tells how much is sent.
export function send(file, tell) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("POST", `uploads?name=${encodeURIComponent(file.name)}`);
    request.responseType = "json";
    request.upload.onprogress = (event) => tell(event.loaded);
    request.onload = () => request.status === 201 ? done(request.response.id)
      : fail(new Error(`${file.name}: ${request.response?.error || "it was refused"}`));
    request.onerror = () => fail(new Error(`${file.name} could not be sent.`));
    request.send(file);
  });
}
