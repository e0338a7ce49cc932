// Which parts of the model are open, as the server finds them: the plain category, the rows of the definition, what
// contradicts, and the whole report as a file. A server or model that tells nothing gets no section.
import { useEffect, useState } from "preact/hooks";
import { call, complaint, open, type Complaint } from "../lib/api";
import { ErrorNote, save_file } from "../ui/parts";

interface Row {
  item: string;
  title: string;
  status: string;
  missing: string | null;
}
interface Claim {
  rule: string;
  verdict: string;
  words: string | null;
  file: string | null;
  line?: number;
  message: string;
}
interface Report {
  category: { title: string; reason: string };
  mof: { title: string };
  osaid: { items: Row[] };
  claims: Claim[];
  not_legal_advice: string;
}

const path_of = (name: string): string => `/freehold/v1/openness/${encodeURIComponent(name)}`;

export function Openness({ name }: { name: string }) {
  const [report, set_report] = useState<Report | null>(null);
  const [error, set_error] = useState<Complaint | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    set_report(null);
    set_error(null);
    call<Report>("GET", path_of(name), undefined, stop.signal)
      .then(set_report)
      .catch(() => undefined);
    return () => stop.abort();
  }, [name]);
  if (!report) return null;
  const save = async (): Promise<void> => {
    try {
      const page = await open("GET", `${path_of(name)}?format=html`);
      save_file(`openness-${name.replace(/[^\w.-]+/g, "-")}.html`, "text/html", await page.text());
    } catch (thrown) {
      set_error(complaint(thrown));
    }
  };
  const against = report.claims.filter(({ verdict }) => verdict === "contradicted" || verdict === "unsupported");
  return (
    <section aria-labelledby="openness">
      <h2 id="openness">Openness</h2>
      <p>
        <strong>{report.category.title}</strong>. {report.category.reason}
      </p>
      <p class="muted">Model Openness Framework: {report.mof.title}. Open Source AI Definition, row by row:</p>
      <div class="table-box">
        <table class="grid">
          <caption class="off-screen">Rows of the Open Source AI Definition</caption>
          <thead>
            <tr>
              <th scope="col">Row</th>
              <th scope="col">Status</th>
              <th scope="col">Missing</th>
            </tr>
          </thead>
          <tbody>
            {report.osaid.items.map((row) => (
              <tr key={row.item}>
                <th scope="row">{row.title}</th>
                <td data-label="Status">{row.status}</td>
                <td data-label="Missing">{row.missing ?? "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {against.length > 0 && (
        <>
          <p class="muted">Claims that what lies here does not bear out</p>
          <ul>
            {against.map((claim) => (
              <li key={claim.rule + (claim.file ?? "") + (claim.line ?? 0) + claim.message}>
                {claim.words && <q>{claim.words}</q>} {claim.message} <span class="muted">{claim.verdict}</span>
              </li>
            ))}
          </ul>
        </>
      )}
      {error && <ErrorNote error={error} />}
      <p class="row-between">
        <span class="muted">{report.not_legal_advice}</span>
        <button type="button" class="button" onClick={() => void save()}>
          Save the report
        </button>
      </p>
    </section>
  );
}
