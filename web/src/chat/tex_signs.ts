// The signs of tex.ts: names of TeX and what stands for them in Unicode.
// Letters are set as letters, everything else as operators, which have their own room on both sides.

function table(text: string): Record<string, string> {
  const made: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const pair of text.trim().split(/\s+/)) {
    const cut = pair.indexOf("=");
    made[`\\${pair.slice(0, cut)}`] = pair.slice(cut + 1);
  }
  return made;
}

/** Letters and what is set like them. */
export const kPlain = table(`
alpha=α beta=β gamma=γ delta=δ epsilon=ϵ varepsilon=ε zeta=ζ eta=η theta=θ vartheta=ϑ iota=ι kappa=κ lambda=λ mu=μ nu=ν xi=ξ
omicron=ο pi=π varpi=ϖ rho=ρ varrho=ϱ sigma=σ varsigma=ς tau=τ upsilon=υ phi=ϕ varphi=φ chi=χ psi=ψ omega=ω
Gamma=Γ Delta=Δ Theta=Θ Lambda=Λ Xi=Ξ Pi=Π Sigma=Σ Upsilon=Υ Phi=Φ Psi=Ψ Omega=Ω
infty=∞ partial=∂ nabla=∇ ell=ℓ hbar=ℏ Re=ℜ Im=ℑ aleph=ℵ emptyset=∅ varnothing=∅ imath=ı jmath=ȷ wp=℘ degree=° top=⊤ bot=⊥ angle=∠ triangle=△
`);

export const kOperators = table(`
sum=∑ prod=∏ coprod=∐ int=∫ iint=∬ iiint=∭ oint=∮ bigcup=⋃ bigcap=⋂ bigoplus=⨁ bigotimes=⨂ bigvee=⋁ bigwedge=⋀
cdot=⋅ times=× div=÷ pm=± mp=∓ ast=∗ star=⋆ circ=∘ bullet=∙ oplus=⊕ ominus=⊖ otimes=⊗ odot=⊙ wedge=∧ vee=∨ land=∧ lor=∨ lnot=¬ neg=¬ cup=∪ cap=∩ setminus=∖ sqcup=⊔
eq== le=≤ leq=≤ leqslant=≤ ge=≥ geq=≥ geqslant=≥ ne=≠ neq=≠ lt=< gt=> ll=≪ gg=≫ approx=≈ equiv=≡ cong=≅ sim=∼ simeq=≃ propto=∝ asymp=≍ doteq=≐ prec=≺ succ=≻ preceq=⪯ succeq=⪰
in=∈ notin=∉ ni=∋ subset=⊂ supset=⊃ subseteq=⊆ supseteq=⊇ subsetneq=⊊ forall=∀ exists=∃ nexists=∄ perp=⊥ parallel=∥ mid=∣ nmid=∤ models=⊨ vdash=⊢ therefore=∴ because=∵
to=→ rightarrow=→ leftarrow=← gets=← leftrightarrow=↔ Rightarrow=⇒ Leftarrow=⇐ Leftrightarrow=⇔ implies=⟹ impliedby=⟸ iff=⟺ mapsto=↦ longrightarrow=⟶ longleftarrow=⟵ Longrightarrow=⟹ hookrightarrow=↪ uparrow=↑ downarrow=↓ nearrow=↗ searrow=↘ rightharpoonup=⇀ rightleftharpoons=⇌ xrightarrow=→
langle=⟨ rangle=⟩ lfloor=⌊ rfloor=⌋ lceil=⌈ rceil=⌉ vert=| Vert=‖ lvert=| rvert=| lVert=‖ rVert=‖ lbrace={ rbrace=} lbrack=[ rbrack=] backslash=\\ prime=′ dagger=† colon=:
ldots=… dots=… cdots=⋯ vdots=⋮ ddots=⋱ dotsc=… dotsb=⋯ square=□ blacksquare=■ checkmark=✓ bmod=mod
`);

export const kEscaped: Record<string, string> = { "\\{": "{", "\\}": "}", "\\%": "%", "\\$": "$", "\\&": "&", "\\#": "#", "\\_": "_", "\\|": "‖" };

/** Their bounds stand above and below where there is room. */
export const kWide = new Set(["\\sum", "\\prod", "\\coprod", "\\bigcup", "\\bigcap", "\\bigoplus", "\\bigotimes", "\\bigvee", "\\bigwedge"]);
export const kLimitFunctions = new Set(["\\lim", "\\max", "\\min", "\\sup", "\\inf", "\\limsup", "\\liminf", "\\det", "\\gcd", "\\Pr", "\\argmax", "\\argmin"]);
export const kFunctions = new Set([...kLimitFunctions, ..."sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth log ln lg exp arg deg dim ker hom".split(" ").map((name) => `\\${name}`)]);

export const kSpaces: Record<string, string> = { "\\,": "0.17em", "\\:": "0.22em", "\\>": "0.22em", "\\;": "0.28em", "\\!": "-0.17em", "\\ ": "0.33em", "\\quad": "1em", "\\qquad": "2em", "\\\n": "0.33em" };

/** The mark, whether it is as wide as what it marks, and whether it stands below. */
export const kAccents: Record<string, [mark: string, wide: boolean, below: boolean]> = {
  "\\hat": ["^", false, false], "\\widehat": ["^", true, false], "\\check": ["ˇ", false, false], "\\tilde": ["~", false, false], "\\widetilde": ["~", true, false],
  "\\bar": ["¯", false, false], "\\overline": ["¯", true, false], "\\vec": ["→", false, false], "\\overrightarrow": ["→", true, false], "\\dot": ["˙", false, false],
  "\\ddot": ["¨", false, false], "\\overbrace": ["⏞", true, false], "\\underline": ["_", true, true], "\\underbrace": ["⏟", true, true],
};

function shifted(upper: number, lower: number, digits: number, others: Record<string, string>): (letter: string) => string {
  return (letter) => {
    const other = others[letter];
    if (other !== undefined) return other;
    const code = letter.charCodeAt(0);
    if (letter >= "A" && letter <= "Z") return String.fromCodePoint(upper + code - 65);
    if (letter >= "a" && letter <= "z") return String.fromCodePoint(lower + code - 97);
    if (digits > 0 && letter >= "0" && letter <= "9") return String.fromCodePoint(digits + code - 48);
    return letter;
  };
}

const bold = shifted(0x1d400, 0x1d41a, 0x1d7ce, {});
const double = shifted(0x1d538, 0x1d552, 0x1d7d8, { C: "ℂ", H: "ℍ", N: "ℕ", P: "ℙ", Q: "ℚ", R: "ℝ", Z: "ℤ" });
const script = shifted(0x1d49c, 0x1d4b6, 0, { B: "ℬ", E: "ℰ", F: "ℱ", H: "ℋ", I: "ℐ", L: "ℒ", M: "ℳ", R: "ℛ", e: "ℯ", g: "ℊ", o: "ℴ" });
const fraktur = shifted(0x1d504, 0x1d51e, 0, { C: "ℭ", H: "ℌ", I: "ℑ", R: "ℜ", Z: "ℨ" });
const same = (letter: string) => letter;

export const kAlphabets: Record<string, (letter: string) => string> = { "\\mathbf": bold, "\\boldsymbol": bold, "\\bm": bold, "\\mathbb": double, "\\mathcal": script, "\\mathscr": script, "\\mathfrak": fraktur, "\\mathit": same };
