// A component that is drawn again only when its properties differ, told by a function or one by one.
// What it reads of signals does not wake it: hand such values in as properties.
import { Component, type ComponentChildren, type ComponentType } from "preact";

function all_equal(a: object, b: object): boolean {
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  return Object.keys(left).length === Object.keys(right).length && Object.keys(left).every((name) => left[name] === right[name]);
}

export function memo<P extends object>(draw: (properties: P) => ComponentChildren): ComponentType<P> {
  return class extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      return !all_equal(this.props, next);
    }
    override render() {
      return draw(this.props);
    }
  };
}
