/* What a node has to say after a run: lines of text, and a button that opens the page it saved. Knows no ComfyUI. */

const WARNS = "\u26a0"; // how a line that warns begins
export const MARGIN_PX = 2; // around it, in a node of the classic canvas
const LINE_PX = 16, CHARACTER_PX = 6.4, PADDING_PX = 8 + 2 * MARGIN_PX, BUTTON_PX = 28, MOST_LINES = 9;
export const WORDS = {
    en: { open: "Open the page" },
    zh: { open: "打开网页" },
    ja: { open: "ページを開く" },
};
const STYLE = `
.gid-said { box-sizing: border-box; width: 100%; height: 100%; max-height: 184px; padding: 4px 12px; overflow: auto; font: 12px/16px sans-serif; color: #bbb; user-select: text; cursor: text; overflow-wrap: anywhere }
.gid-said p { margin: 0 }
.gid-said .warns { color: #eb5 }
.gid-said button { margin-top: 4px; padding: 2px 8px; border: 0; border-radius: 4px; background: #345; color: #ddd; font: inherit; cursor: pointer }`;

export class Said {
    constructor(language = "en") {
        this.words = WORDS[language.slice(0, 2)] ?? WORDS.en;
        this.element = document.createElement("div");
        this.element.className = "gid-said";
        this.element.setAttribute("role", "status");
        this.lines = [];
        this.open = null;
    }

    /** Show lines; `open`, if given, is what the button does. */
    show(lines, open = null) {
        this.lines = lines;
        this.open = open;
        const style = document.createElement("style");
        style.textContent = STYLE;
        this.element.replaceChildren(style, ...lines.map(paragraph));
        if (open) {
            const button = document.createElement("button");
            Object.assign(button, { type: "button", textContent: this.words.open, onclick: open });
            this.element.append(button);
        }
    }

    /** The height that the text needs in a node so many px wide; longer text scrolls. */
    height(width) {
        if (!this.lines.length) return 0;
        const row = Math.max(8, Math.floor((width - 40) / CHARACTER_PX));
        const rows = this.lines.reduce((sum, line) => sum + Math.ceil(line.length / row), 0);
        return PADDING_PX + LINE_PX * Math.min(rows, MOST_LINES) + (this.open ? BUTTON_PX : 0);
    }
}

function paragraph(line) {
    const element = document.createElement("p");
    element.textContent = line;
    if (line.startsWith(WARNS)) element.className = "warns";
    return element;
}
